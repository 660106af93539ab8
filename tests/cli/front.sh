#!/bin/bash
# voxloop VERB on plain audio files: the embeddings of voxloop-extract, likeness, thresholds, enrolled voices.
source "$(dirname "$0")/../support/shell.sh"
voxloop=$bin/voxloop
needs voxloop
cd "$scratch" || exit 1
unset VOXLOOP_MODEL
tones audio 40
options="--config $source_folder/pipelines/smoke.ini --threads 2 --quiet"
"$bin/voxloop-prepare" $options --audio audio --out prepared || fail "prepare"
(cd audio && ls) | sed 's/\(s[0-9]\).*/& \1/' >utt2spk
"$bin/voxloop-finetune" $options --audio prepared --labels utt2spk --out m.safetensors || fail "finetune"
"$bin/voxloop-extract" $options --audio prepared --model m.safetensors --format npy --out want.npy || fail "extract"

# ---- words

expect 2 'usage: voxloop VERB' "$voxloop"
expect 0 '^  verify +whether two recordings' "$voxloop" --help
expect 0 '^voxloop [0-9]' "$voxloop" --version
expect 2 'unknown verb "verfy"' "$voxloop" verfy
expect 2 'unknown option --modle .did you mean --model' "$voxloop" embed --modle x audio
expect 1 'no model: give --model FILE, or set VOXLOOP_MODEL' "$voxloop" embed audio
expect 1 'nowhere.safetensors: there is no such model' "$voxloop" embed --model nowhere.safetensors audio
expect 1 'nowhere.wav: there is no such recording' "$voxloop" embed --model m.safetensors nowhere.wav
expect 2 'two recordings are compared, and 1 are named' "$voxloop" compare --model m.safetensors audio/s0-u0.wav
echo text >broken.wav
expect_one_line 1 'broken.wav: ' "$voxloop" embed --model m.safetensors broken.wav

# ---- embeddings: a file, a folder, a list; as extracted

export VOXLOOP_MODEL=m.safetensors
"$voxloop" embed audio --out got.npy || fail "embed of a folder"
cmp got.npy want.npy || fail "embeddings are not those of voxloop-extract"
"$voxloop" embed audio --threads 1 --out one.npy && cmp one.npy want.npy || fail "one thread gives other embeddings"
[ "$(printf 'audio/s0-u0.wav\naudio/s1-u0.wav\n' | "$voxloop" embed - | grep -c '^audio/s[01]-u0.wav  \[ .* \]$')" = 2 ] || fail "a list on standard input"
expect 1 'is given twice' "$voxloop" embed audio/s0-u0.wav audio/s0-u0.wav --out twice.npy
[ ! -e twice.npy ] || fail "a refused file was written"

# ---- likeness and thresholds

cosine() { "$voxloop" compare "$@" | cut -f3; }
[ "$(cosine audio/s0-u0.wav audio/s0-u0.wav)" = 1.00000 ] || fail "a recording is not like itself"
[ "$(cosine audio/s0-u0.wav audio/s3-u1.wav)" = "$(cosine audio/s3-u1.wav audio/s0-u0.wav)" ] || fail "likeness has a direction"
expect 0 '^accept	1.00000	0.90000	-$' "$voxloop" verify --threshold 0.9 audio/s0-u0.wav audio/s0-u0.wav
expect 3 '^reject' "$voxloop" verify --threshold 1 audio/s0-u0.wav audio/s3-u1.wav
expect 1 'give --threshold, or teach it' "$voxloop" verify audio/s0-u0.wav audio/s0-u1.wav
expect 2 'exclude each other' "$voxloop" verify --threshold 0 --false-alarm 0.01 audio/s0-u0.wav audio/s0-u1.wav

# 1000 trials each: targets .300 to 1.299, nontargets -.700 to .299, so every threshold is known.
awk 'BEGIN { for (i = 0; i < 1000; i++) { printf "a b %.4f target\nc d %.4f nontarget\n", .2 + i / 1000, -.7 + i / 1000 } }' >scores
"$voxloop" calibrate --quiet --model m.safetensors --scores scores --name "made trials" --out taught.safetensors || fail "calibrate"
"$voxloop" embed --model taught.safetensors audio --out taught.npy && cmp taught.npy want.npy || fail "calibration changed the embeddings"
"$voxloop" verify --model taught.safetensors --json audio/s0-u0.wav audio/s0-u0.wav >verdict || fail "verify with the model's threshold"
awk 'match($0, /"threshold":[-0-9.e]+/) { t = substr($0, RSTART + 12, RLENGTH - 12); exit !(t > .2 && t < .3) }' verdict || { cat verdict >&2; fail "the threshold at the EER"; }
"$voxloop" verify --model taught.safetensors --false-alarm 0.1 --csv audio/s0-u0.wav audio/s0-u0.wav | grep -q '^accept,1.00000,0.19900,[0-9]' || fail "the threshold at 10 % false alarms"
expect 1 'false-alarm rates of 0.1, 0.01 and 0.001, not 0.5' "$voxloop" verify --model taught.safetensors --false-alarm 0.5 audio/s0-u0.wav audio/s0-u1.wav
echo 'a b 0.5 perhaps' >odd
expect_one_line 1 'odd:1: expected' "$voxloop" calibrate --quiet --model m.safetensors --scores odd --out x.safetensors
grep -v nontarget scores >one-sided
expect_one_line 1 'trials of both kinds' "$voxloop" calibrate --quiet --model m.safetensors --scores one-sided --out x.safetensors
[ ! -e x.safetensors ] || fail "a refused calibration wrote a model"

# ---- voices under names

for speaker in 0 1 2; do
    "$voxloop" enrol --quiet --speakers voices "tone $speaker" audio/s$speaker-u0.wav || fail "enrol"
done
"$voxloop" identify --speakers voices --threshold 0 audio/s1-u0.wav >found || fail "identify"
grep -qP '^audio/s1-u0.wav\ttone 1\t1.00000\t' found || { cat found >&2; fail "an enrolled recording is not its speaker"; }
"$voxloop" enrol --quiet --speakers voices "tone 1" audio/s1-u1.wav || fail "enrol again"
"$voxloop" identify --speakers voices --threshold 0 audio/s1-u0.wav | grep -qP '\ttone 1\t' || fail "two recordings of a speaker"
expect 3 'unknown' "$voxloop" identify --speakers voices --threshold 1 audio/s3-u0.wav
expect 0 '"speaker":"tone 1"' "$voxloop" identify --json --speakers voices --model taught.safetensors --threshold 0 audio/s1-u0.wav
"$bin/voxloop-finetune" $options --seed 9 --audio prepared --labels utt2spk --out other.safetensors || fail "another model"
expect_one_line 1 'voices was made with another model' "$voxloop" identify --model other.safetensors --speakers voices audio/s1-u0.wav
expect_one_line 1 'm.safetensors holds no enrolled speakers' "$voxloop" identify --speakers m.safetensors audio/s1-u0.wav

# ---- search and groups

[ "$("$voxloop" search audio/s2-u1.wav audio --top 1 | cut -f3)" = s2-u1.wav ] || fail "a recording does not find itself"
"$voxloop" search audio/s2-u1.wav audio --top 0 | cut -f1,2 >ranked
"$voxloop" search audio/s2-u1.wav got.npy --top 0 | cut -f1,2 | cmp - ranked || fail "embeddings of a folder rank otherwise"
[ "$(wc -l <ranked)" = 12 ] || fail "search does not rank all"
"$voxloop" group audio --voices 4 --links links --csv >groups || fail "group"
[ "$(tail -n +2 groups | cut -d, -f2 | sort -u | wc -l)" = 4 ] || { cat groups >&2; fail "not the number of voices asked for"; }
[ "$(find links -type l | wc -l)" = 12 ] && cmp "$(find links -name '*s0-u0.wav')" audio/s0-u0.wav || fail "links do not lead to the recordings"
expect_one_line 1 'links is there already' "$voxloop" group audio --voices 4 --links links
echo "front: fine"
