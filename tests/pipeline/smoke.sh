#!/bin/bash
# The whole loop through iter3 on a small demo corpus; the same line again does nothing; one stage can be
# asked for again.
source "$(dirname "$0")/../support/shell.sh"
needs espeak-ng
work=$scratch/work

pipeline iter3 PRESET=smoke WORK="$work" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "iter3 did not finish"; }
for round in 0 1 2 3; do
    for name in model.safetensors embeddings.tar.zst test-embeddings.tar.zst labels.tar.zst clusters.json eval.json scores.txt; do
        [ -s "$work/iter$round/$name" ] || fail "iter$round/$name is missing"
    done
    grep -qE "^iter$round: .*clusters.*EER" "$scratch/log" || { cat "$scratch/log" >&2; fail "no line for round $round"; }
done
for shard in "$work"/iter3/*.tar.zst "$work"/audio/*.tar.zst; do
    tar --zstd -tf "$shard" >/dev/null || fail "GNU tar cannot read $shard"
done
n_labels=$(tar --zstd -xOf "$work/iter3/labels.tar.zst" utt2spk | wc -l)
[ "$n_labels" = "$(wc -l <"$work/demo/train.utt2spk")" ] || fail "$n_labels pseudo-labels do not cover every utterance"

# mtimes of everything but the lock, what make remembers for itself, and the records, whose stamps are refreshed once artefacts have come of age.
state() { find "$work" -type f ! -name .lock ! -name rules.mk ! -name .checked ! -name '*.*.json' -printf '%P %T@\n' | LC_ALL=C sort; }
state >"$scratch/before"
started=$(date +%s%N)
pipeline iter3 PRESET=smoke WORK="$work" >/dev/null 2>&1 || fail "the same line again failed"
milliseconds=$((($(date +%s%N) - started) / 1000000))
state | cmp -s - "$scratch/before" || { state | diff - "$scratch/before" >&2; fail "the same line again rebuilt something"; }

pipeline iter2-cluster PRESET=smoke WORK="$work" >/dev/null 2>&1 || fail "iter2-cluster failed"
made=$(cd "$work" && find . -type f -newer "$scratch/before" ! -name '.*' ! -name '*.*.json' ! -name rules.mk | LC_ALL=C sort | tr '\n' ' ')
case $made in
"./iter2/clusters.json ./iter2/eval.json ./iter2/labels.tar.zst ./iter2/scores.txt "*) ;;
*) fail "iter2-cluster made $made" ;;
esac
case $made in *iter3* | *model* | *embeddings*) fail "iter2-cluster made $made" ;; esac
state >"$scratch/before"
pipeline iter3 PRESET=smoke WORK="$work" >/dev/null 2>&1 || fail "iter3 after iter2-cluster failed"
state | cmp -s - "$scratch/before" || fail "labels with the same content rebuilt something: $(state | diff "$scratch/before" - | tr '\n' ' ')"

pipeline iter1-lmft PRESET=smoke WORK="$work" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "iter1-lmft failed"; }
grep -q '^iter1-lmft: .* with iter1.*EER' "$scratch/log" || { cat "$scratch/log" >&2; fail "no line for iter1-lmft"; }
grep -q 'starts from .*iter1/model.safetensors' "$scratch/log" || fail "iter1-lmft does not start from iter1"
state >"$scratch/before"
pipeline iter1-lmft PRESET=smoke WORK="$work" >/dev/null 2>&1 || fail "iter1-lmft again failed"
state | cmp -s - "$scratch/before" || { state | diff - "$scratch/before" >&2; fail "iter1-lmft again rebuilt something"; }

pipeline ablation PRESET=smoke WORK="$work" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "ablation failed"; }
grep -qE '^\| iter1-plain\* \| [0-9.]+ ± [0-9.]+ \|' "$scratch/log" || { cat "$scratch/log" >&2; fail "no mean of the plain rounds"; }
grep -q '^| iter3-correct-lmft | ' "$scratch/log" || { cat "$scratch/log" >&2; fail "the ablation's table lacks its last row"; }
cmp -s "$work"/ablation/iter1-plain{1,2}/model.safetensors && fail "two seeds gave one model"

pipeline compare PRESET=smoke WORK="$work" METHODS="pair teacher" THREADS=1 >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "compare failed"; }
for row in iter0-ivector iter1-ivector 'iter1-plain\*' iter1-pair iter1-teacher 'iter1-true-plain\*' iter1-true-pair; do
    grep -qE "^\| $row \| [0-9.]+( ± [0-9.]+)? \|" "$scratch/log" || { cat "$scratch/log" >&2; fail "the comparison lacks $row"; }
done
grep -q '^--- ' "$scratch/log" || fail "compare does not take several rows at a time"
grep -q '^| round |.* pair head EER (%) |' "$scratch/log" || fail "the comparison lacks the pair head"
touch "$scratch/before"
pipeline iter0-cluster PRESET=smoke WORK="$work" >/dev/null 2>&1 || fail "iter0-cluster failed"
pipeline compare PRESET=smoke WORK="$work" METHODS="pair teacher" >/dev/null 2>&1 || fail "compare again failed"
[ -z "$(find "$work" -name model.safetensors -newer "$scratch/before")" ] || fail "the same labels train the comparison again"

pipeline iter1 PRESET=smoke WORK="$scratch/other" WARMUP=masked INIT=ivector >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "WARMUP and INIT=ivector failed"; }
grep -q 'starts from .*warmup/model.safetensors' "$scratch/log" || fail "iter1 does not start from the warm-up"
grep -q 'total variability, iteration' "$scratch/log" || fail "INIT=ivector trains no i-vectors"

state >"$scratch/before"
pipeline plan PRESET=smoke WORK="$work" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "plan failed"; }
[ "$(grep -c ': plan: memory ' "$scratch/log")" = 2 ] || { cat "$scratch/log" >&2; fail "no plan for two trainings"; }
grep -q '^finetune: 8 steps of 8 utterances' "$scratch/log" || fail "the plan has other steps than the training"
state | cmp -s - "$scratch/before" || fail "plan wrote something"

# A flat folder without trials: halves of its recordings. Copied recordings look new, but nothing is made again.
cp -r "$work/demo/train" "$scratch/recordings"
flat() { pipeline iter0 PRESET=smoke DATA="$scratch/recordings" WORK="$scratch/flat" >"$scratch/log" 2>&1; }
flat || { cat "$scratch/log" >&2; fail "iter0 of a flat folder failed"; }
grep -qE '^iter0: .* label-free EER [0-9.]+ % \(statistics baseline [0-9.]+ %\)' "$scratch/log" || { cat "$scratch/log" >&2; fail "no label-free EER"; }
made() { find "$scratch/flat" -name 'model.safetensors' -newer "$scratch/before"; }
touch "$scratch/before"
find "$scratch/recordings" -type f -exec touch {} +
flat || fail "iter0 of touched recordings failed"
grep -q '^prepare: ' "$scratch/log" && fail "touched recordings are prepared again"
[ -z "$(made)" ] || fail "touched recordings are trained on again"
first=$(find "$scratch/recordings" -type f | LC_ALL=C sort | head -n 1)
rm "$first"
flat || fail "iter0 of one recording fewer failed"
[ -n "$(made)" ] || fail "one recording fewer trains nothing"

pipeline report PRESET=smoke WORK="$work" >/dev/null 2>&1 || fail "report failed"
[ -s "$work/report.html" ] || fail "report.html is missing"
echo "smoke: fine, second run $milliseconds ms"
