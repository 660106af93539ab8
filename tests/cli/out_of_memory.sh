#!/bin/bash
# Memory runs out at one allocation, whichever library asks for it: every stage ends with status 1 and one line
# about memory, and nothing is published that is not whole; or it did not matter, and the outputs are the same
# bytes. Which allocations fail is drawn anew each time, by a seed that is printed; SEED repeats a run.
source "$(dirname "$0")/../support/shell.sh"
shim=$bin/../tests/libshim_failing_allocation.so
[ -e "$shim" ] || {
    echo "SKIPPED: $shim is not there (a sanitizer's build)" >&2
    exit 77
}
cd "$scratch" || exit 1
draws=14
RANDOM=${SEED:-$(($(od -An -tu2 -N2 /dev/urandom)))}
echo "SEED=$RANDOM"

"$bin/../tests/tool_strange_audio" strange || fail "the strange recordings could not be made"
tones tones 300
digests() { # of all that is published, without the records, which hold times
    find "$@" -type f ! -name '*.json' ! -name '.*' ! -name '*.log' ! -name '*.resume' 2>/dev/null | LC_ALL=C sort | xargs -r sha256sum
}

# exhaust "OUTPUT..." STAGE OPTION...
exhaust() {
    local outputs=$1 stage=$2 n at status
    shift 2
    run() { "$bin/voxloop-$stage" --quiet --threads 1 "$@"; }
    rm -rf $outputs
    VOXLOOP_FAIL_COUNT=$scratch/count LD_PRELOAD=$shim run "$@" >log 2>&1 || { cat log >&2; fail "$stage does not run"; }
    digests $outputs >"$scratch/wanted"
    n=$(cat "$scratch/count")
    [ "$n" -gt 50 ] || fail "$stage: $n allocations were seen"
    for _ in $(seq $draws); do
        rm -rf $outputs *.resume
        at=$((1 + (RANDOM * 32768 + RANDOM) % n))
        status=0
        VOXLOOP_FAIL_AT=$at LD_PRELOAD=$shim timeout 120 "$bin/voxloop-$stage" --quiet --threads 1 "$@" >log 2>&1 || status=$?
        digests $outputs >"$scratch/got"
        case $status in
        0) cmp -s "$scratch/got" "$scratch/wanted" || fail "$stage: allocation $at of $n failed, and other bytes were published" ;;
        1)
            { [ "$(grep -c . log)" = 1 ] && grep -q 'out of memory' log; } || { cat log >&2; fail "$stage: no clear line when allocation $at of $n fails"; }
            grep -vxFf "$scratch/wanted" "$scratch/got" >&2 && fail "$stage: allocation $at of $n failed, and other bytes were published"
            ;;
        *)
            cat log >&2
            fail "$stage: status $status when allocation $at of $n fails"
            ;;
        esac
        [ -z "$(find . -name '.*.tmp-*')" ] || fail "$stage: a temporary is left when allocation $at of $n fails"
    done
    run "$@" >/dev/null || fail "$stage does not run again" # what follows needs its outputs
}

exhaust out prepare --audio strange/fine --out out
"$bin/voxloop-prepare" --quiet --audio tones --out audio || fail "prepare"
cut -f 1 audio/utts.tsv | tail -n +2 | awk '{ print $1, substr($1, 1, 2) }' >utt2spk
common="--audio audio --threads 1 --batch 4 --steps 2"
exhaust p.safetensors pretrain $common --encoder ecapa --architecture channels=16 --out p.safetensors --prototypes 16 --long-frames 40 --short-frames 20 --hidden 16 --bottleneck 16
exhaust "f.safetensors" finetune $common --labels utt2spk --encoder ecapa --architecture channels=16 --out f.safetensors --frames 40 --checkpoint-every 1
exhaust e.tar.zst extract --audio audio --model f.safetensors --out e.tar.zst
exhaust e.npy extract --audio audio --model f.safetensors --out e.npy --format npy
exhaust l.tar.zst cluster --embeddings e.tar.zst --clusters 4 --truth utt2spk --out l.tar.zst --report c.json
for i in 0 1 2; do for j in 0 1 2 3; do echo "$((j == 0)) s0-u$i.wav s$j-u2.wav"; done; done >trials
exhaust scores evaluate --embeddings e.tar.zst --trials trials --scores scores --report eval.json
exhaust i.safetensors ivector --audio audio --out i.safetensors --gaussians 4 --ivector-dim 4 --ceps 8 --deltas 0
exhaust w.safetensors import --model "$source_folder/tests/golden/import/wavlm_ssl_sv.pt" --out w.safetensors
exhaust w.pt import --export --model w.safetensors --out w.pt
exhaust none inspect e.tar.zst f.safetensors audio
echo "out_of_memory: fine"
