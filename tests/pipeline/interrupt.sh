#!/bin/bash
# Ctrl-C: the stage saves its state before make returns, so the same line goes on at once.
source "$(dirname "$0")/../support/shell.sh"
needs espeak-ng pgrep
set -m # a process group for each background job, and SIGINT not ignored in it

start() {
    make -f "$source_folder/Makefile.pipeline" BIN="$bin" THREADS=2 iter0 PRESET=smoke WORK="$scratch/work" >"$scratch/log" 2>&1 &
    run=$!
}
start
until pgrep -g "$run" -f "^$bin/voxloop-pretrain " >/dev/null; do
    kill -0 "$run" 2>/dev/null || { cat "$scratch/log" >&2; fail "the run was over before pre-training"; }
done
sleep 0.1
kill -INT -- "-$run"
wait "$run" && fail "an interrupted run says that it succeeded"
pgrep -g "$run" >/dev/null && fail "something of the interrupted run is still there"
if grep -q 'interrupted; run the same command again' "$scratch/log"; then
    start
    wait "$run" || { cat "$scratch/log" >&2; fail "the run after the interrupt failed"; }
    grep -q 'goes on after step' "$scratch/log" || { cat "$scratch/log" >&2; fail "pre-training started afresh"; }
else
    echo "pre-training was over before the interrupt" >&2
fi
echo "interrupt: fine"
