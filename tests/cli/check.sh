#!/bin/bash
# voxloop-check: what would stop a later stage is said at once, in one line that names it.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
tones train 300
tones test 300
head -c 8044 test/s0-u0.wav >test/short.wav # a quarter of a second
options="--threads 1 --quiet"
prepare() { "$bin/voxloop-prepare" $options --audio "$1" --out "$2"; }
prepare train audio && prepare test tests || fail "prepare"
check() { rm -f checked.json; "$bin/voxloop-check" $options --audio audio --test tests --out checked.json "$@"; }

printf '%s\n' '1 s0-u0.wav s0-u1.wav' '0 s0-u0.wav s1-u0.wav' >trials
check --trials trials || fail "good trials are refused"
grep -q '"target_trials":[[:space:]]*1' checked.json || { cat checked.json >&2; fail "no count of trials"; }
{ cat trials && echo '1 s0-u0.wav short.wav'; } >refused
expect_one_line 1 'refused has a trial of short.wav, which is not among the prepared recordings: cut off' check --trials refused
{ cat trials && echo '1 s0-u0.wav nobody.wav'; } >unknown
expect_one_line 1 'unknown.*nobody.wav' check --trials unknown
grep '^1' trials >targets
expect_one_line 1 'targets has 1 target and 0 nontarget trials' check --trials targets
expect_one_line 1 'train' check --trials train

(cd train && ls) | sed 's/\(s.\)-.*/& \1/' >truth
check --truth truth >log 2>&1 && [ ! -s log ] || { cat log >&2; fail "a whole truth is not fine"; }
tail -n +4 truth >part
expect_one_line 0 'warning: part speaks of 9 of 12 recordings' check --truth part
sed 's/^/x/' truth >none
expect_one_line 1 'none speaks of none of the 12 recordings' check --truth none
{ cat truth && head -n 1 truth; } >twice
expect_one_line 1 'twice:13' check --truth twice

"$bin/voxloop-ivector" $options --audio audio --gaussians 4 --ivector-dim 4 --ceps 8 --deltas 0 --out model.safetensors || fail "ivector"
check --weights model.safetensors || fail "a model is refused"
echo words >words.safetensors
expect_one_line 1 'words.safetensors' check --weights words.safetensors
head -c 500 model.safetensors >part.safetensors
expect_one_line 1 'part.safetensors' check --weights part.safetensors

mkdir noise && cp train/s0-* noise && echo words >noise/broken.wav
expect 0 'warning: noise: 1 of 4 files are left out.*noise/broken.wav' check --noise noise
check --noise train --rir train || fail "recordings are refused"
mkdir broken && echo words >broken/a.wav && echo words >broken/b.wav
expect 1 'none of the 2 files can be used; the first, broken/a.wav' check --noise broken
expect 1 'none of the 2 files can be used' check --rir broken
mkdir empty
expect_one_line 1 'empty' check --noise empty
[ ! -e checked.json ] || fail "a failed check left its outcome"
echo "check: fine"
