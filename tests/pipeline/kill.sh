#!/bin/bash
# SIGKILL at any moment, then the same line again: the final artefacts equal those of an undisturbed run, byte
# for byte. The moments are drawn; KILL_SEED repeats a failing run.
source "$(dirname "$0")/../support/shell.sh"
needs espeak-ng setsid pgrep sha256sum
RANDOM=${KILL_SEED:-$(date +%N | sed 's/^0*//')}
seed=$RANDOM
RANDOM=$seed
echo "KILL_SEED=$seed"

run() { pipeline iter1 PRESET=smoke WORK="$1"; }
artefacts() {
    (cd "$1" && find audio test iter0 iter1 -type f ! -name '.*' ! -name '*.zst.json' ! -name '*.safetensors.json' \
        ! -name '*.json.json' ! -name '*.tsv.json' ! -name '*.txt.json' ! -name '*.log*' ! -name '*.resume*' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum)
}

run "$scratch/whole" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "the undisturbed run failed"; }
artefacts "$scratch/whole" >"$scratch/wanted"
[ -s "$scratch/wanted" ] || fail "no artefacts to compare"

# kill_in GOAL STAGE MILLISECONDS: starts the run in a process group of its own, waits for the stage, and kills all
# of the group up to so many milliseconds into it.
kill_in() {
    local goal=$1 stage=$2 delay=$((RANDOM % $3))
    setsid bash -c 'exec make -f "$0" BIN="$1" THREADS=2 "$3" PRESET=smoke WORK="$2"' \
        "$source_folder/Makefile.pipeline" "$bin" "$scratch/killed" "$goal" >"$scratch/log" 2>&1 &
    local group=$!
    until pgrep -g "$group" -f "^$bin/voxloop-$stage " >/dev/null; do
        kill -0 "$group" 2>/dev/null || {
            wait "$group"
            echo "$stage was over before it could be killed"
            return 1
        }
    done
    sleep "$(printf '0.%03d' "$delay")"
    kill -KILL -- "-$group" 2>/dev/null || return 1
    wait "$group" 2>/dev/null
    kills=$((kills + 1))
    echo "killed $delay ms after the start of $stage: $(tail -n 1 "$scratch/log")"
}

kills=0
kill_in iter0 demo-corpus 1000
kill_in iter0 prepare 50
for again in 1 2 3 4; do kill_in iter0 pretrain 500; done
kill_in iter0 extract 100
kill_in iter0 cluster 20
kill_in iter0 evaluate 20
for again in 1 2 3 4; do kill_in iter1 finetune 200; done
kill_in iter1 extract 100
kill_in iter1 cluster 20
[ "$kills" -ge 8 ] || fail "only $kills of 15 runs could be killed"
run "$scratch/killed" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "the run after the kills failed"; }
artefacts "$scratch/killed" >"$scratch/found"
diff "$scratch/wanted" "$scratch/found" >&2 || fail "artefacts differ after $kills kills (KILL_SEED=$seed)"
leftovers=$(find "$scratch/killed" -name '*.tmp-*')
[ -z "$leftovers" ] || fail "temporaries were left: $leftovers"
echo "kill: fine after $kills kills"
