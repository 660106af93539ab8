#!/bin/bash
# OpenBLAS chooses its kernels by the processor, and they differ in their last bits: under each family that this machine
# can run, the numeric tests hold, and an embedding's bytes depend neither on its company nor on the number of threads.
source "$(dirname "$0")/../support/shell.sh"
tests=$bin/../tests
cd "$scratch" || exit 1

flags=" $(sed -n '/^flags/{s/.*://;p;q}' /proc/cpuinfo 2>/dev/null) "
families=
case $flags in *" avx2 "*) families="Haswell Zen" ;; esac
case $flags in *" avx512vl "*) families="$families SkylakeX" ;; esac
case $flags in *" avx512_bf16 "*) families="$families Cooperlake" ;; esac
case $flags in *" sse3 "* | *" pni "*) families="Prescott $families" ;; esac

mkdir recordings
perl -e 'srand(7);
    for my $i (0 .. 15) { # four of each length, in every batch among others
        my $n = (16000, 16160, 23456, 31313)[$i % 4];
        open my $out, ">:raw", sprintf("recordings/s%02d.wav", $i) or die;
        print $out "RIFF", pack("V", 36 + 2 * $n), "WAVEfmt ", pack("VvvVVvv", 16, 1, 1, 16000, 32000, 2, 16), "data", pack("V", 2 * $n);
        print $out pack("s<*", map { int(4000 * sin($_ * (0.05 + 0.01 * $i)) + rand(2000)) } 1 .. $n);
    }'
mkdir few && cp recordings/s0[3-9].wav few
prepare() { "$bin/voxloop-prepare" --quiet --audio "$1" --out "$1.audio" || fail "prepare failed"; }
prepare recordings && prepare few
sed 1d recordings.audio/utts.tsv | awk '{print $1, NR % 2}' >utt2spk
model() { # NAME ENCODER ARCHITECTURE
    "$bin/voxloop-finetune" --quiet --audio recordings.audio --labels utt2spk --encoder "$2" --architecture "$3" --steps 1 \
        --batch 2 --frames 60 --gate-epoch 0 --correct-epoch 0 --out "$1.safetensors" || fail "finetune --encoder $2 failed"
}
sizes=encoder_layers=2,encoder_embed_dim=96,encoder_ffn_embed_dim=200,encoder_attention_heads=4,conv_pos=16,conv_pos_groups=4,head_nb=5,compression_dim=12,outputs_dim=20
model ecapa ecapa channels=48,embed_dim=20,pre_pool_channels=70,astp_bottleneck_dim=12,se_bottleneck_dim=12,emb_bn=true
model resnet resnet18 m_channels=6,embed_dim=20
model conformer mfa-conformer num_blocks=2,output_size=60,linear_units=100,embedding_dim=20,attention_channels=12
model fbank wavlm frontend=fbank,$sizes
model waveform wavlm frontend=conv,conv_channels=40,$sizes
"$bin/voxloop-ivector" --quiet --audio recordings.audio --gaussians 8 --ivector-dim 6 --ceps 5 --deltas 1 --tv-iterations 2 \
    --out ivector.safetensors || fail "ivector failed"

extract() { # AUDIO MODEL OUT OPTION...
    local audio=$1 model=$2 out=$3
    shift 3
    "$bin/voxloop-extract" --quiet --audio "$audio.audio" --model "$model.safetensors" --format npy --out "$out.npy" "$@" ||
        fail "extract failed with $model, $*"
}
rows() { tail -c +129 "$1.npy"; } # without the header, whose shape differs

run_alone() {
    local model bytes
    for model in ecapa resnet conformer fbank waveform ivector; do
        extract recordings $model all --threads 2
        extract recordings $model alone --threads 1 --batch 1
        extract few $model few --threads 2 --batch 3
        cmp all.npy alone.npy || fail "embeddings of $model depend on the batch or the threads"
        bytes=$(($(rows few | wc -c) / 7))
        "$bin/voxloop" embed --quiet --model $model.safetensors --threads 2 --out one.npy recordings/s05.wav || fail "embed failed"
        cmp <(rows all | head -c $((6 * bytes)) | tail -c $bytes) <(rows one) ||
            fail "voxloop embed gives a recording alone another embedding of $model"
        cmp <(rows all | head -c $((10 * bytes)) | tail -c $((7 * bytes))) <(rows few) ||
            fail "embeddings of $model depend on the other recordings"
    done
}

run_numeric() {
    local program
    for program in "$tests"/unit_{ops_*,tape,attention,losses,regularizers,vecmath,wavlm,ivector,scores} "$tests"/golden_*; do
        [ -x "$program" ] || fail "$program is not there"
        "$program" >log 2>&1 || { cat log >&2; fail "${program##*/} failed"; }
    done
}

for family in ${families:-unset}; do
    [ "$family" = unset ] || export OPENBLAS_CORETYPE=$family
    echo "kernels: $family" >&2
    run_alone && run_numeric
done
echo "kernels: fine ($families)"
