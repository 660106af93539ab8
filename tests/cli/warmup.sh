#!/bin/bash
# voxloop-warmup on a few made recordings: SIGKILL, then the same command, ends with the bytes of an undisturbed run;
# its model gives the next phase's targets, and voxloop-finetune starts from it.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1

tones recordings 400
"$bin/voxloop-prepare" --quiet --audio recordings --out audio || fail "prepare failed"
sed 1d audio/utts.tsv | cut -f 1 | awk '{split($1, part, "-"); print $1, part[1]}' >utt2spk
small=encoder_layers=2,encoder_embed_dim=16,encoder_ffn_embed_dim=32,encoder_attention_heads=2,conv_pos=8,conv_pos_groups=2,head_nb=2,compression_dim=8,outputs_dim=8

warmup() {
    "$bin/voxloop-warmup" --audio audio --architecture frontend=fbank,$small --steps 60 --batch 4 --frames 60 --clusters 6 \
        --mix 0.5 --augment 0.5 --log-every 20 --checkpoint-every 1 --threads 2 "$@"
}
warmup --out whole/m.safetensors 2>log || { cat log >&2; fail "warmup failed"; }
[ "$(grep -cE '^step [0-9]+ loss [0-9.]+ .* acc [0-9.]+ masked 0\.[67]' whole/warmup.log)" = 3 ] || fail "$(cat whole/warmup.log)"
warmup --out broken/m.safetensors >/dev/null 2>log &
shell=$! tries=0
until [ -f broken/m.safetensors.resume ] || [ $((tries += 1)) -gt 1000 ]; do sleep 0.01; done
kill -KILL $(pgrep -P $shell) 2>/dev/null
wait $shell 2>/dev/null
[ -e broken/m.safetensors ] || {
    warmup --out broken/m.safetensors 2>log || { cat log >&2; fail "warmup did not go on"; }
    grep -q "goes on after step" log || fail "warmup started afresh: $(cat log)"
    grep -q "targets:" log && fail "the clusters were made anew"
}
cmp whole/m.safetensors broken/m.safetensors || fail "warmup after SIGKILL gave other bytes"

warmup --out next.safetensors --steps 3 --init whole/m.safetensors --targets whole/m.safetensors --target-layer 1 2>log ||
    { cat log >&2; fail "no second phase"; }
grep -q "of whole/m.safetensors, 16 dimensions" log || fail "$(cat log)"
"$bin/voxloop-warmup" --quiet --audio audio --architecture $small,conv_channels=8 --steps 2 --batch 2 --frames 60 --clusters 6 --out wave.safetensors ||
    fail "warmup on waveforms failed"
"$bin/voxloop-finetune" --audio audio --labels utt2spk --init whole/m.safetensors --out tuned.safetensors --steps 2 --batch 4 --frames 60 2>log ||
    { cat log >&2; fail "finetune did not start from the warm-up"; }
grep -q 'lacks [0-9]* tensors' log && fail "the warm-up lacks tensors: $(cat log)"

expect_one_line 1 "masked prediction is for the encoder wavlm, and this one is ecapa" warmup --quiet --out bad.safetensors --encoder ecapa --architecture small
expect_one_line 1 "too few layers for layer 9" warmup --quiet --out bad.safetensors --targets whole/m.safetensors --target-layer 9
[ ! -e bad.safetensors ] || fail "a model was written"
echo "warmup: fine"
