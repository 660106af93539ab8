#!/bin/bash
# Wrong words on the pipeline's command line: one clear line each, and nothing is made.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
mkdir -p audio
work=$scratch/work

expect 2 'PRESET=tiny is not known; the presets are: .*demo.*smoke' pipeline iter0 PRESET=tiny WORK="$work"
expect 2 'DATA=nowhere: no such file or folder' pipeline iter0 DATA=nowhere WORK="$work"
expect 2 'TRUTH=nowhere: no such file or folder' pipeline iter0 DATA=audio TRUTH=nowhere WORK="$work"
expect 2 'iter1-pretrain is not known; there are iterN' pipeline iter1-pretrain WORK="$work"
expect 2 'iterx is not known' pipeline iterx WORK="$work"
expect 2 'INIT=random is not known; it is none, pretrain, previous or ivector' pipeline iter1 INIT=random WORK="$work"
expect 2 'WARMUP=cold is not known; it is masked' pipeline iter1 WARMUP=cold WORK="$work"
expect 2 'JOBS=two: a number of stages at a time, from 1' pipeline iter1 JOBS=two WORK="$work"
expect 2 'METHODS: tripelt is not known; .*compare.methods has supcon_same' pipeline compare METHODS=tripelt WORK="$work"
expect 0 "voxloop-prepare .*--out '.*/my work/audio'" pipeline -n iter1 WORK="$scratch/my work"
[ ! -e "$scratch/my work" ] || fail "make -n made WORK"
expect 2 'plan needs UTTS=number HOURS=number' pipeline plan WORK="$work"
expect 2 "No rule to make target 'train'" pipeline train WORK="$work"
[ ! -e "$work/iter0" ] || fail "misuse made something"

# Presets are looked at whole, before the recordings are: every section, key, value, objective and architecture.
preset_says() { # PATTERN LINE...
    printf '%s\n' "${@:2}" '[finetune lmft]' >bad.ini
    expect 2 "$1" pipeline iter1-lmft DATA=audio PRESET=bad.ini WORK="$work"
    [ ! -e "$work/audio" ] || fail "a bad preset prepared recordings: ${*:2}"
}
preset_says 'bad.ini:2: .*stepps.* \(did you mean steps\?\)' '[pretrain]' 'stepps = 5'
preset_says 'bad.ini:2: .*batch' '[finetune]' 'batch = many'
preset_says 'bad.ini:4: .*linkage' '[cluster]' 'clusters = 5' '' 'linkage = none'
preset_says 'clusters' '[cluster]' 'clusters = 5x'
preset_says 'margn.*did you mean' '[finetune lmft]' 'margn = 5'
preset_says 'tripelt' '[finetune]' 'objectives = aam,tripelt'
preset_says 'tripelt' '[finetune iter1]' 'objectives = tripelt'
preset_says 'chanels' '[pretrain]' 'architecture = chanels=5'
preset_says 'chanels' '[finetune iter1]' 'architecture = chanels=5'
preset_says 'correct-epoch' '[finetune]' 'correct-epoch = 5'
preset_says 'seconds' '[prepare]' 'min-seconds = -1'
preset_says 'halves and --crops|crops' '[extract]' 'halves = 5' 'crops = 5'
preset_says 'margin must be' '[finetune lmft]' 'margin = 99'
printf '[finetune]\n' >bad.ini
expect 2 'bad.ini has no section \[finetune lmft\], which iter1-lmft needs' pipeline iter1-lmft DATA=audio PRESET=bad.ini WORK="$work"
expect 2 'margin must be' pipeline iter1 DATA=audio SET=finetune.margin=99 WORK="$work"

expect 0 'voxloop-cluster .* --previous .*iter0/labels' pipeline -n iter1 DATA=audio WORK="$work"
expect 0 'voxloop-finetune .*--seed 7' pipeline -n iter2 DATA=audio SEED=7 WORK="$work"
[ ! -e "$work/audio" ] || fail "make -n made something"
expect 0 'extract .*crops.tar.zst --crops 15' pipeline -n iter0 PRESET=voxceleb2 DATA=audio TEST=audio TRIALS=audio
expect 0 'evaluate .*--crop-embeddings .*iter0/crops.tar.zst' pipeline -n iter0 PRESET=voxceleb2 DATA=audio TEST=audio TRIALS=audio
expect 0 'iterN-STAGE' pipeline help
expect 0 'voxloop-prepare --audio audio .*small.ini' pipeline -n iter0 DATA=audio PRESET=small

# Every preset says only what the stages understand: each command of a dry run fails for its missing inputs (1),
# not for its options (2).
mkdir -p nothing
for preset in "$source_folder"/pipelines/*.ini; do
    preset=$(basename "$preset" .ini)
    pipeline -n iter3 PRESET="$preset" DATA=audio TEST=audio WORK="$scratch/nothing" >commands
    while read -r command; do
        status=0
        $command >output 2>&1 || status=$?
        [ $status = 1 ] || { cat output >&2; fail "preset $preset: exit status $status, not 1: $command"; }
    done <commands
    [ "$(grep -c voxloop- commands)" -ge 20 ] || fail "preset $preset: $(cat commands)"
done

# Two runs on one WORK: the second leaves with one line, the first is not disturbed.
mkdir -p "$work"
(
    flock 9
    echo locked
    sleep 5
) 9>"$work/.lock" >"$scratch/holder" &
holder=$!
until grep -qs locked "$scratch/holder"; do sleep 0.02; done
expect 2 "another run is at work in WORK=$work" pipeline iter0 DATA=audio WORK="$work"
kill "$holder"
echo "misuse: fine"
