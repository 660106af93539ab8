#!/bin/bash
# Rounds that start from another toolkit's weights: WAVLM=their file is imported once and used by every round.
source "$(dirname "$0")/../support/shell.sh"
needs espeak-ng
work=$scratch/work
weights=$scratch/WavLM-Small+.pt # a plus sign, as in the published names
cp "$source_folder/tests/golden/import/microsoft_base.pt" "$weights"

run() { pipeline iter2 PRESET=smoke WAVLM="$weights" WORK="$work"; }
run >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "iter2 did not finish"; }
grep -q '^iter2: .*EER' "$scratch/log" || fail "no line for round 2"
[ "$(grep -c 'starts from .*wavlm.safetensors: ' "$scratch/log")" = 2 ] || { cat "$scratch/log" >&2; fail "not both rounds start from the weights"; }
"$bin/voxloop-inspect" "$work/iter2/model.safetensors" | grep -q '"conv_feature_layers"' || fail "iter2 has another encoder"

state() { find "$work" -type f ! -name .lock ! -name rules.mk ! -name '*.*.json' -printf '%P %T@\n' | LC_ALL=C sort; }
state >"$scratch/before"
run >/dev/null 2>&1 || fail "the same line again failed"
state | diff "$scratch/before" - >&2 || fail "the same line again rebuilt something"

echo words >"$scratch/words.pt"
expect 2 'words.pt is text, which is not read here' pipeline iter1 PRESET=smoke WAVLM="$scratch/words.pt" WORK="$work" CHANGE=WAVLM
echo "wavlm: fine"
