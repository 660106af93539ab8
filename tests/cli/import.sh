#!/bin/bash
# voxloop-import: peers' checkpoints in, ours out in their forms and in again with the same bytes; damaged and
# foreign files are refused with one line.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
peers=$source_folder/tests/golden/import
import() { "$bin/voxloop-import" --quiet "$@"; }
tensors() { "$bin/voxloop-inspect" --limit 1000 "$1" | grep '^  F32'; }

import --model "$peers/wavlm_ssl_sv.pt" --out tuned.safetensors || fail "wavlm_ssl_sv.pt was not imported"
"$bin/voxloop-inspect" --limit 1000 tuned.safetensors >shown || fail "the import cannot be inspected"
grep -q 'backend.pooling_fc.weight' shown || { cat shown >&2; fail "the pooling is missing"; }
[ -s tuned.safetensors.json ] || fail "no word beside the import on how it came to be"
import --model "$peers/microsoft_base.pt" --out base.safetensors || fail "microsoft_base.pt was not imported"
import --model "$peers/hf_base" --out hf.safetensors || fail "the folder hf_base was not imported"
import --model "$peers/hf_base/pytorch_model.bin" --out bin.safetensors || fail "pytorch_model.bin was not imported"
tensors base.safetensors >wanted
[ -s wanted ] || fail "voxloop-inspect lists no tensors"
for same in hf bin; do
    tensors $same.safetensors | cmp -s - wanted || fail "$same.safetensors holds other tensors than base.safetensors"
done

# Out and in again: the weights are the same bytes.
weights() { # the file behind its header
    local header
    header=$(od -An -tu8 -N 8 "$1" | tr -d ' ')
    tail -c +$((header + 9)) "$1" | sha256sum
}
import --export --model tuned.safetensors --out tuned.pt || fail "export to wavlm-ssl-sv failed"
import --export --form hugging-face --model base.safetensors --out folder || fail "export to hugging-face failed"
import --export --form microsoft --model base.safetensors --out base.pt || fail "export to microsoft failed"
import --model tuned.pt --out again.safetensors || fail "our wavlm-ssl-sv was not imported"
[ "$(weights again.safetensors)" = "$(weights tuned.safetensors)" ] || fail "wavlm-ssl-sv changed on its way out and in"
for form in folder base.pt; do
    import --model $form --out again.safetensors || fail "our $form was not imported"
    [ "$(weights again.safetensors)" = "$(weights base.safetensors)" ] || fail "$form changed on its way out and in"
done

# Every encoder that a peer has finds its home, and its way back.
"$bin/../tests/tool_strange_audio" strange || fail "the strange recordings could not be made"
"$bin/voxloop-prepare" --quiet --audio strange/fine --out audio || fail "prepare failed"
cut -f 1 audio/utts.tsv | tail -n +2 | awk '{ print $1, "s" NR % 2 }' >utt2spk
for encoder in ecapa resnet34 mfa-conformer; do
    "$bin/voxloop-finetune" --quiet --audio audio --labels utt2spk --encoder $encoder --steps 1 --batch 2 --frames 60 --out own.safetensors ||
        fail "no $encoder to export"
    import --export --model own.safetensors --out own.pt || fail "$encoder was not exported"
    import --model own.pt --out again.safetensors || fail "our $encoder was not imported"
    tensors own.safetensors | grep -v classifier >wanted
    tensors again.safetensors | cmp -s - wanted || fail "$encoder changed on its way out and in"
done

# A fine-tuned model of Hugging Face's: the encoder under a prefix, a head beside it. It is imported without the head,
# which is named. A head under the encoder's own prefix must be named by the user.
with_head() { # FILE PREFIX OTHER-NAME: hf_base under the prefix, and three tensors more
    perl -e '
        my ($from, $to, $prefix, @more) = @ARGV;
        local $/;
        open my $in, "<:raw", $from or die;
        my $all = <$in>;
        my $n = unpack "Q<", $all;
        my ($header, $data) = (substr($all, 8, $n), substr($all, 8 + $n));
        $header =~ s/"([^"]+)":\s*\{\s*"dtype"/"$prefix$1":{"dtype"/g;
        $header =~ s/\}\s*$//;
        for (@more) {
            my $at = length $data;
            $data .= pack "f<6", 1 .. 6;
            $header .= sprintf ",\"%s\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[%d,%d]}", $_, $at, $at + 24;
        }
        $header .= "}";
        $header .= " " x (-length($header) % 8);
        open my $out, ">:raw", $to or die;
        print $out pack("Q<", length $header), $header, $data;' "$peers/hf_base/model.safetensors" "$@" || fail "no model with a head"
}
mkdir tuned
cp "$peers/hf_base/config.json" tuned/
with_head tuned/model.safetensors wavlm. projector.weight classifier.weight layer_weights
"$bin/voxloop-import" --model tuned --out again.safetensors 2>log || { cat log >&2; fail "a model with a head was not imported"; }
grep -q 'left out, as no part of the encoder: 3 tensors .*classifier.weight' log || { cat log >&2; fail "no word about the head"; }
[ "$(weights again.safetensors)" = "$(weights base.safetensors)" ] || fail "a head changed the weights"
with_head tuned/model.safetensors "" lm_head.weight masked_head.weight
expect_one_line 1 '2 surplus .*lm_head.weight.*--ignore PREFIX' import --model tuned --out none.safetensors
"$bin/voxloop-import" --model tuned --out again.safetensors --ignore lm_head.,masked_head. 2>log || fail "--ignore"
grep -q 'left out.*2 tensors .*lm_head.weight' log || { cat log >&2; fail "no word about what is ignored"; }
[ "$(weights again.safetensors)" = "$(weights base.safetensors)" ] || fail "--ignore changed the weights"
expect_one_line 1 'tuned.safetensors is a checkpoint of voxloop.s already' import --model tuned.safetensors --out none.safetensors

# A fine-tuned model gives embeddings at once; a pre-trained one says what it lacks.
"$bin/voxloop-extract" --quiet --audio audio --model tuned.safetensors --out e.npy --format npy || fail "no embeddings from an import"
expect_one_line 1 'base.safetensors .*missing.*backend' "$bin/voxloop-extract" --quiet --audio audio --model base.safetensors --out x.tar.zst

rm -f out.safetensors
head -c 50000 "$peers/wavlm_ssl_sv.pt" >cut.pt
expect_one_line 1 'cut.pt' import --model cut.pt --out out.safetensors
cp "$peers/wavlm_ssl_sv.pt" flipped.pt
printf '\x55' | dd of=flipped.pt bs=1 seek=90000 conv=notrunc status=none
expect_one_line 1 'flipped.pt' import --model flipped.pt --out out.safetensors
echo 'no checkpoint' >words.pt
expect_one_line 1 'words.pt' import --model words.pt --out out.safetensors
expect_one_line 1 'nowhere.pt' import --model nowhere.pt --out out.safetensors
expect_one_line 1 'another shape' import --model "$peers/wavlm_ssl_sv.pt" --out out.safetensors --architecture outputs_dim=25
expect_one_line 1 'missing' import --model "$peers/wavlm_ssl_sv.pt" --out out.safetensors --architecture encoder_layers=4
expect_one_line 1 'surplus' import --model "$peers/wavlm_ssl_sv.pt" --out out.safetensors --architecture encoder_layers=2
import --model "$peers/wavlm_ssl_sv.pt" --out shorter.safetensors --architecture encoder_layers=2 \
    --ignore module.__S__.model.encoder.layers.2. >/dev/null 2>&1 && fail "MHFA over fewer layers was imported"
expect_one_line 1 'holds the encoder wavlm' import --export --form wespeaker --model tuned.safetensors --out out.pt
[ ! -e out.safetensors ] && [ ! -e out.pt ] || fail "a refused checkpoint left a file"
echo "import: fine"
