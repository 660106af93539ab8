#!/bin/bash
# Models that are not what they say: another input than the front end makes, sizes beyond all reason, and files that do
# not hold what their architecture names. One sentence that names the file, and no memory of such a size is asked for.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1

tones recordings 400
"$bin/voxloop-prepare" --quiet --audio recordings --out audio || fail "prepare failed"
sed 1d audio/utts.tsv | cut -f 1 | awk '{split($1, part, "-"); print $1, part[1]}' >utt2spk

# model FILE ARCHITECTURE: a checkpoint of that architecture with a single tensor
model() {
    perl -e '
        my ($file, $architecture) = @ARGV;
        $architecture =~ s/"/\\"/g;
        my $header = "{\"__metadata__\":{\"format\":\"voxloop model 1\",\"architecture\":\"$architecture\"},"
            . "\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
        $header .= " " x (-length($header) % 8);
        open my $out, ">:raw", $file or die;
        print $out pack("Q<", length $header), $header, pack("f<2", 1, 2);' "$1" "$2" || fail "no model"
}
refused() { # SENTENCE ARCHITECTURE: by all that read models, in a gigabyte of addresses
    local sentence=$1
    model m.safetensors "$2"
    expect_one_line 1 "m.safetensors.*$sentence" bash -c 'ulimit -v 1500000; exec "$@"' - "$bin/voxloop-extract" --quiet \
        --audio audio --model m.safetensors --out e.npy --format npy --threads 1
    expect_one_line 1 "m.safetensors.*$sentence" bash -c 'ulimit -v 1500000; exec "$@"' - "$bin/voxloop" embed --quiet \
        --model m.safetensors --threads 1 recordings/s0-u0.wav
    [ ! -e e.npy ] || fail "embeddings of a refused model"
}

refused 'feat_dim is 40, and the front end makes 80 filter banks' '{"encoder":"ecapa","feat_dim":40}'
refused 'feat_dim is 81, and the front end makes 80' '{"encoder":"resnet","feat_dim":81}'
refused 'feat_dim is 4096, and the front end makes 80' '{"encoder":"mfa_conformer","feat_dim":4096}'
refused 'channels must be a whole number from 1' '{"encoder":"ecapa","channels":1e99}'
refused 'channels must be a whole number' '{"encoder":"ecapa","channels":"many"}'
refused 'conv_feature_layers make one frame of more than' \
    '{"encoder":"wavlm","conv_feature_layers":[[8,65536,65536],[8,65536,65536],[8,65536,65536],[8,65536,65536],[8,65536,65536]]}'
# Sizes within bounds, terabytes in all: the file does not hold them.
refused 'does not fit the model: tensors .*missing' '{"encoder":"ecapa","channels":65536,"pre_pool_channels":65536}'
refused 'does not fit the model: tensors .*missing' '{"encoder":"resnet","m_channels":4096,"blocks3":64}'
refused 'does not fit the model: tensors .*missing' '{"encoder":"mfa_conformer","output_size":16384,"linear_units":65536,"num_blocks":32}'
refused 'does not fit the model: tensors .*missing' '{"encoder":"wavlm","encoder_embed_dim":65536,"encoder_attention_heads":16,"encoder_ffn_embed_dim":262144}'
refused 'does not fit the model: tensors .*missing' '{"encoder":"ivector","gaussians":65536,"ivector_dim":4096,"ceps":30}'
refused 'is not known' '{"encoder":"lstm"}'
refused 'does not say its architecture' '[]'

# The same in training.
train() { "$bin/voxloop-finetune" --quiet --audio audio --labels utt2spk --steps 1 --batch 2 --frames 60 --out new.safetensors "$@"; }
expect_one_line 1 'feat_dim is 40' train --architecture channels=16,feat_dim=40
expect_one_line 1 'feat_dim is 40' "$bin/voxloop-pretrain" --quiet --audio audio --steps 1 --batch 2 --architecture channels=16,feat_dim=40 --out new.safetensors
expect_one_line 1 'channels must be a whole number' train --architecture channels=nan
model m.safetensors '{"encoder":"ecapa","feat_dim":40}'
expect_one_line 1 'm.safetensors.*feat_dim is 40' train --init m.safetensors
model m.safetensors '{"encoder":"ecapa","channels":65536,"pre_pool_channels":65536}'
expect_one_line 1 'm.safetensors does not fit the model' bash -c 'ulimit -v 1500000; exec "$@"' - "$bin/voxloop-finetune" --quiet \
    --audio audio --labels utt2spk --steps 1 --batch 2 --frames 60 --threads 1 --out new.safetensors --init m.safetensors
[ ! -e new.safetensors ] || fail "a model was written"
echo "odd_models: fine"
