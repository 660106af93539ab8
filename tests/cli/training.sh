#!/bin/bash
# voxloop-pretrain, -extract and -finetune on a few made recordings: SIGKILL and SIGTERM, then the same command,
# end with the bytes of an undisturbed run; one clear line for what cannot be trained on.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1

tones recordings 400
"$bin/voxloop-prepare" --quiet --audio recordings --out audio || fail "prepare failed"
sed 1d audio/utts.tsv | cut -f 1 | awk '{split($1, part, "-"); print $1, part[1]}' >utt2spk
small=channels=16,embed_dim=8,pre_pool_channels=16,astp_bottleneck_dim=4,se_bottleneck_dim=4

pretrain() {
    "$bin/voxloop-pretrain" --audio audio --architecture $small --steps 40 --batch 4 --long-frames 60 --short-frames 40 \
        --prototypes 32 --hidden 16 --bottleneck 8 --degrade 0.5 --spec-augment 0.5 --log-every 10 --checkpoint-every 1 --threads 2 "$@"
}
finetune() {
    "$bin/voxloop-finetune" --audio audio --labels utt2spk --architecture $small --steps 40 --batch 4 --frames 60 \
        --gate-epoch 3 --correct-epoch 6 --degrade 0.5 --spec-augment 0.5 --log-every 10 --checkpoint-every 1 --threads 2 "$@"
}
at_speeds() { finetune --speed --correct-epoch 0 "$@"; }
extract() { "$bin/voxloop-extract" --quiet --audio audio "$@"; }

# interrupted SIGNAL STAGE: starts STAGE with --out broken/STAGE.safetensors, signals it after its first checkpoint.
interrupted() {
    local signal=$1 stage=${2%% *} options=${2#"${2%% *}"}
    $stage $options --out "broken/$stage.safetensors" >/dev/null 2>log &
    local shell=$! tries=0
    until [ -f "broken/$stage.safetensors.resume" ] || [ $((tries += 1)) -gt 1000 ]; do sleep 0.01; done
    kill "-$signal" $(pgrep -P $shell) # the program, a child of the function's shell
    wait $shell
}

for stage in pretrain finetune; do
    $stage --out "whole/$stage.safetensors" >/dev/null 2>log || { cat log >&2; fail "$stage failed"; }
    [ ! -e "whole/$stage.safetensors.resume" ] || fail "$stage leaves its resume file"
    [ "$(grep -cE '^step [0-9]+ loss [0-9.]+ grad [0-9.]+ lr [0-9.e-]+ utt/s [0-9.]+ data_wait [0-9]+%' "whole/$stage.log")" = 4 ] ||
        fail "$stage.log: $(cat "whole/$stage.log")"
    for signal in KILL TERM; do
        interrupted $signal $stage
        if [ -e "broken/$stage.safetensors" ]; then
            echo "$stage was done before SIG$signal" >&2
        else
            $stage --out "broken/$stage.safetensors" >/dev/null 2>log || { cat log >&2; fail "$stage did not go on"; }
            grep -q "goes on after step" log || fail "$stage after SIG$signal started afresh"
        fi
        cmp "whole/$stage.safetensors" "broken/$stage.safetensors" || fail "$stage after SIG$signal gave other bytes"
        rm "broken/$stage.safetensors"
    done
done

# An embedding depends on its own audio alone, not on the batch.
extract --model whole/finetune.safetensors --out a.tar.zst || fail "extract failed"
extract --model whole/finetune.safetensors --out b.tar.zst --batch 1 || fail "extract --batch 1 failed"
cmp <(tar --zstd -xOf a.tar.zst embeddings.npy) <(tar --zstd -xOf b.tar.zst embeddings.npy) || fail "embeddings depend on the batch"
[ "$(tar --zstd -xOf a.tar.zst utts.txt)" = "$(cut -d ' ' -f 1 utt2spk)" ] || fail "utts.txt: $(tar --zstd -xOf a.tar.zst utts.txt)"
extract --model whole/pretrain.safetensors --out c.npy --format npy || fail "extract --format npy failed"
extract --model whole/pretrain.safetensors --out c.ark --format ark && [ -s c.scp ] || fail "extract --format ark failed"

# Crops longer than every utterance are all the whole of it, repeated: the mean of unit vectors is one.
extract --model whole/pretrain.safetensors --out d.npy --format npy --crops 3 --crop-frames 1000 || fail "extract --crops failed"
extract --model whole/pretrain.safetensors --out e.npy --format npy --crops 1 --crop-frames 1000 || fail "extract --crops 1 failed"
perl -e 'for (@ARGV) { local $/; open my $f, "<:raw", $_ or die; push @x, [unpack "f<*", substr(<$f>, 128)] }
    for (0 .. $#{$x[0]}) { die "value $_: $x[0][$_] $x[1][$_]" if abs($x[0][$_] - $x[1][$_]) > 1e-6; $squares += $x[0][$_] ** 2 }
    my $rows = () = `cat d.utts.txt` =~ /\n/g; die "$squares for $rows rows" if abs($squares - $rows) > 1e-4' d.npy e.npy ||
    fail "crops of whole utterances"

# Killed or interrupted, an extraction goes on with the same bytes.
many_crops() { # --out FILE
    "$bin/voxloop-extract" --audio audio --model whole/pretrain.safetensors --crops 200 --crop-frames 40 --batch 1 "$@"
}
many_crops --out whole/many_crops.safetensors >/dev/null 2>log || { cat log >&2; fail "extract --crops 200 failed"; }
for signal in KILL TERM; do
    rm -f broken/many_crops.safetensors
    interrupted $signal "many_crops --checkpoint-every 1"
    [ ! -e broken/many_crops.safetensors ] || fail "SIG$signal left an extraction as if it were whole"
    many_crops --out broken/many_crops.safetensors >/dev/null 2>log || { cat log >&2; fail "the extraction did not go on after SIG$signal"; }
    grep -q 'goes on after' log || { cat log >&2; fail "the extraction started afresh after SIG$signal"; }
    cmp whole/many_crops.safetensors broken/many_crops.safetensors || fail "an extraction after SIG$signal gave other bytes"
    [ ! -e broken/many_crops.safetensors.resume ] || fail "the resume file of a finished extraction is still there"
done
expect_one_line 2 "exclude each other" extract --model whole/pretrain.safetensors --out f.npy --crops 3 --halves 3

# A round may start from the one before: the classes of other labels are new, those of the same labels may stay.
sed 's/s3$/s2/' utt2spk >fewer
finetune --out next.safetensors --init whole/finetune.safetensors --labels fewer --steps 2 --seed 1 >/dev/null 2>log ||
    { cat log >&2; fail "no start from a model of other classes"; }
grep -q 'lacks [0-9]* tensors' log && fail "the classes of other labels are missed: $(cat log)"
finetune --out next.safetensors --init whole/finetune.safetensors --keep-classes --steps 2 --seed 1 >/dev/null 2>log ||
    { cat log >&2; fail "no start with the classes of the same labels"; }
expect_one_line 1 'another shape .classifier.weight' finetune --quiet --out bad.safetensors --init whole/finetune.safetensors --keep-classes --labels fewer

# Three speeds are three times the classes; resumed, kept and refused like any.
at_speeds --out whole/at_speeds.safetensors >/dev/null 2>log || { cat log >&2; fail "--speed failed"; }
grep -q "at 3 speeds: 12 classes" log || fail "--speed: $(cat log)"
interrupted KILL at_speeds
at_speeds --out broken/at_speeds.safetensors >/dev/null 2>log || { cat log >&2; fail "--speed did not go on"; }
cmp whole/at_speeds.safetensors broken/at_speeds.safetensors || fail "--speed after SIGKILL gave other bytes"
at_speeds --out next.safetensors --init whole/at_speeds.safetensors --keep-classes --steps 2 --seed 1 >/dev/null 2>log ||
    { cat log >&2; fail "no start with the classes of three speeds"; }
expect_one_line 1 'another shape .classifier.weight' finetune --quiet --out bad.safetensors --init whole/at_speeds.safetensors --keep-classes

# Other objectives: two utterances of each speaker in a batch, a teacher, a pair head; killed and gone on with the same
# bytes, and read by the stages that follow.
objectives() {
    "$bin/voxloop-finetune" --audio audio --labels utt2spk --architecture $small --steps 30 --batch 6 --views 2 --frames 60 \
        --objectives aam,in-batch=0.2,pair=0.1,teacher=0.5 --subcentres 2 --teacher a.tar.zst --log-every 10 \
        --checkpoint-every 1 --threads 2 "$@"
}
objectives --out whole/objectives.safetensors >/dev/null 2>log || { cat log >&2; fail "objectives failed"; }
interrupted KILL objectives
objectives --out broken/objectives.safetensors >/dev/null 2>log || { cat log >&2; fail "objectives did not go on"; }
cmp whole/objectives.safetensors broken/objectives.safetensors || fail "objectives after SIGKILL gave other bytes"
grep -qE ' aam [0-9.]+ in-batch [0-9.]+ pair [0-9.]+ teacher [0-9.]+' whole/finetune.log || fail "finetune.log: $(cat whole/finetune.log)"
for sum in "supcon --contrast-margin 0.2" "mfcon,aam" "supcon --same-recording --labels alone" "aam,supcon-caa --balance"; do
    paste -d ' ' <(cut -d ' ' -f 1 utt2spk) <(seq 12) >alone
    finetune --gate-epoch 0 --correct-epoch 0 --out some.safetensors --steps 4 --seed 1 --objectives $sum >/dev/null 2>log ||
        { cat log >&2; fail "objectives $sum failed"; }
done
grep -qE ' share [01]\.[0-9]+' finetune.log || fail "no balance in the log: $(cat finetune.log)"
extract --model whole/objectives.safetensors --out o.tar.zst || fail "extract after objectives failed"
awk '{u[NR] = $1; s[NR] = $2} END {for (i = 1; i <= NR; i++) for (j = 1; j < i; j++) print (s[i] == s[j]), u[i], u[j]}' utt2spk >trials
"$bin/voxloop-evaluate" --embeddings o.tar.zst --trials trials --pair-head whole/objectives.safetensors --scores s.txt \
    --report e.json >out 2>log || { cat log >&2; fail "evaluate --pair-head failed"; }
grep -qE '^EER of the pair head = [0-9.]+, together with cosine = [0-9.]+' out || fail "$(cat out)"
expect_one_line 1 "finetune.safetensors has no pair head" "$bin/voxloop-evaluate" --quiet --embeddings o.tar.zst --trials trials \
    --pair-head whole/finetune.safetensors --scores s.txt --report e.json

# A batch in parts: less memory; the same command gives the same bytes.
for stage in pretrain finetune; do
    for parts in 1 2 2; do
        $stage --out parts$parts.safetensors --steps 8 --parts $parts --seed 1 >/dev/null 2>log || { cat log >&2; fail "$stage --parts $parts failed"; }
        sed -n 's/.*activations take \(.*\) a step/\1/p' log | tr -d ' ' | numfmt --from=auto --suffix=B >bytes$parts
        [ ! -e again.safetensors ] || cmp again.safetensors parts2.safetensors || fail "$stage --parts 2 gave other bytes"
        [ $parts = 1 ] || cp parts2.safetensors again.safetensors
    done
    rm again.safetensors
    [ "$(tr -d B <bytes2)" -lt "$(tr -d B <bytes1)" ] || fail "$stage --parts 2 takes $(cat bytes2), without $(cat bytes1)"
    cmp -s parts1.safetensors parts2.safetensors && fail "$stage --parts 2 does nothing"
done

# Bad input: one line says so, and nothing is written.
refuses() {
    expect "$@"
    [ "$(grep -c 'voxloop-.*: ' "$scratch/output")" = 1 ] || fail "not one line: $(cat "$scratch/output")"
    [ ! -e bad/model.safetensors ] || fail "a model was written: $*"
}
out="--out bad/model.safetensors"
refuses 1 "nowhere holds no utts.tsv" pretrain $out --audio nowhere
refuses 1 "unknown|not known" pretrain $out --architecture chanels=16
refuses 2 "batch" pretrain $out --batch 1
refuses 1 "parts 5 leaves less than two of a step's 8 crops" pretrain $out --parts 5
refuses 1 "parts keeps only embeddings, and mfcon" finetune $out --gate-epoch 0 --correct-epoch 0 --objectives aam,mfcon --parts 2
refuses 1 "--short-crops must be 1 or more" pretrain $out --ssps-epoch 1 --short-crops 0
refuses 1 "correct-epoch 2 needs a --gate-epoch" finetune $out --correct-epoch 2
refuses 1 "correct-epoch would mix up the speeds" finetune $out --speed
refuses 1 "spec-augment masks filter banks" finetune $out --encoder wavlm --spec-augment 0.5 \
    --architecture encoder_layers=1,encoder_embed_dim=32,encoder_ffn_embed_dim=32,encoder_attention_heads=2
plain="finetune $out --gate-epoch 0 --correct-epoch 0"
refuses 1 "objective tripelt is not known; there are aam, supcon" $plain --objectives tripelt
refuses 1 "batch 5 must be a multiple of --views 2" $plain --objectives supcon --batch 5
refuses 1 "balance needs two objectives, and there are 1" $plain --balance
refuses 1 "balance compares gradients at the embeddings, and mfcon" $plain --balance --objectives aam,mfcon
refuses 1 "gate-epoch looks at the losses of objective aam" finetune $out --objectives supcon
refuses 1 "objective teacher and --teacher FILE go together" $plain --objectives aam,teacher
refuses 1 "knows no other speeds" $plain --objectives aam,teacher --teacher a.tar.zst --speed
refuses 1 "0 pseudo-speakers have 2 or more utterances, and a batch takes 2" $plain --objectives supcon --labels alone
head -n 9 c.scp >few.scp
refuses 1 "few.scp lacks 3 of the 12 utterances: s3-u0.wav, s3-u1.wav, s3-u2.wav" $plain --objectives aam,teacher --teacher few.scp
refuses 1 "cannot open missing|missing" finetune $out --labels missing
sed 's/^/other-/' utt2spk >strangers
refuses 1 "knows no utterance of the audio" finetune $out --labels strangers
refuses 1 "is text, which is not read here" finetune $out --init utt2spk
refuses 1 "no parameter's name starts with nothing" finetune $out --freeze nothing
cp whole/finetune.safetensors flipped.safetensors
printf '\x55' | dd of=flipped.safetensors bs=1 seek=20000 conv=notrunc status=none
expect_one_line 1 "flipped.safetensors" extract --model flipped.safetensors --out bad.tar.zst
head -c 5000 whole/finetune.safetensors >cut.safetensors
expect_one_line 1 "cut.safetensors" extract --model cut.safetensors --out bad.tar.zst
[ ! -e bad.tar.zst ] || fail "embeddings were written"
echo "training: fine"
