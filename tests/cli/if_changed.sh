#!/bin/bash
# Every stage, with all of its inputs given: each stands in the record beside the artefact, and each output. With
# --if-changed the same command again says and does nothing; it runs where an option, an input or an output is other.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1

tones recordings 4000
mkdir noise rir kaldi
cp recordings/s0-u0.wav noise/n.wav
cp recordings/s1-u0.wav rir/r.wav
for f in recordings/*.wav; do echo "$(basename "$f" .wav) $PWD/$f"; done >kaldi/wav.scp
awk '{print $1 "-a", $1, 0, 1.4}' kaldi/wav.scp >parts
small=channels=16,embed_dim=8,pre_pool_channels=16,astp_bottleneck_dim=4,se_bottleneck_dim=4
tiny=encoder_layers=2,encoder_embed_dim=16,encoder_ffn_embed_dim=32,encoder_attention_heads=2,conv_pos=8,conv_pos_groups=2,head_nb=2,compression_dim=8,outputs_dim=8

# paths STAGE: the options that name files or folders, by --help.
paths() { "$bin/voxloop-$1" --help | grep -oE -- '^  --[a-z-]+ (FILE|DIR|PATH|MODEL) ' | awk '{print substr($1, 3)}' | grep -vx config | sort; }
recorded() { sed -n 's/.*"option":[[:space:]]*"\([^"]*\)".*/\1/p' "$1" | sort; }
quietly() { # the same command has nothing to do
    local before
    before=$(stat -c '%y %i' "$artefact")
    TIMEFORMAT='%U %S'
    { time "$@" --if-changed --threads 1 >said 2>&1 3>&-; } 2>spent || { cat said >&2; fail "--if-changed: $*"; }
    [ ! -s said ] || { cat said >&2; fail "--if-changed is not silent: $*"; }
    [ "$(stat -c '%y %i' "$artefact")" = "$before" ] || fail "--if-changed wrote $artefact: $*"
    awk '{exit !($1 + $2 < 0.5)}' spent || fail "finding nothing to do took $(cat spent) s: $*"
}
runs() { # ... has something to do
    "$@" --if-changed >said 2>&1 || { cat said >&2; fail "did not run again: $*"; }
    grep -q ': done ' said || { cat said >&2; fail "found nothing to do: $*"; }
}
declare -A given
# stage NAME ARTEFACT CHANGE ARGUMENTS...: runs it; CHANGE are options that make it run again.
stage() {
    local name=$1 change=$3 word option wanted= path
    artefact=$2
    shift 3
    local command=("$bin/voxloop-$name" --threads 2 "$@")
    "${command[@]}" >said 2>&1 || { cat said >&2; fail "$name failed"; }
    for word in "$@"; do
        option=${word#--}
        if [ "$word" != "$option" ] && paths "$name" | grep -qx -- "$option"; then
            wanted="$wanted$option"$'\n'
            given[$name.$option]=1
        fi
    done
    diff <(printf %s "$wanted" | sort) <(recorded "$artefact.json") >&2 || fail "the record of $name does not name what it read and wrote"
    quietly "${command[@]}"
    # Every input touched, none changed; and by other words for the same places.
    for word in "$@"; do
        [ ! -e "$word" ] || find -L "$word" -type f -exec touch -d '2020-02-02' {} +
    done
    quietly "${command[@]}"
    for word in "${!command[@]}"; do
        path=${command[word]}
        [ "$word" = 0 ] || [ ! -e "$path" ] || [[ $path = /* ]] || command[word]=$PWD//$path
    done
    quietly "${command[@]}"
    runs "${command[@]}" $change
    runs "${command[@]}"
    quietly "${command[@]}"
    rm "$artefact"
    runs "${command[@]}"
    cp "$artefact.json" "last.$name.json"
}

stage prepare audio/utts.tsv '--min-seconds 1.1' --audio kaldi --segments parts --out audio
rm audio/rejects.tsv
runs "$bin/voxloop-prepare" --audio kaldi --segments parts --out audio
sed 1d audio/utts.tsv | cut -f 1 | awk '{split($1, part, "-"); print $1, part[1]}' >utt2spk
training="--audio audio --batch 4 --noise noise --rir rir"
stage pretrain pre.safetensors '--seed 3' $training --architecture $small --steps 2 --long-frames 60 --short-frames 40 \
    --prototypes 8 --hidden 8 --bottleneck 4 --out pre.safetensors
stage ivector iv.safetensors '--tv-iterations 2' --audio audio --gaussians 4 --ivector-dim 4 --ceps 5 --deltas 0 --tv-iterations 1 --out iv.safetensors
stage warmup first.safetensors '--steps 2' $training --architecture frontend=fbank,$tiny --steps 1 --frames 60 --clusters 4 --out first.safetensors
stage warmup warm.safetensors '--target-layer 2' $training --steps 1 --frames 60 --clusters 4 --init first.safetensors \
    --targets first.safetensors --target-layer 1 --out warm.safetensors
stage extract e.tar.zst '--longest-seconds 1' --audio audio --model iv.safetensors --out e.tar.zst
stage extract e.ark '--longest-seconds 1' --audio audio --model iv.safetensors --format ark --out e.ark
rm e.scp
runs "$bin/voxloop-extract" --audio audio --model iv.safetensors --format ark --out e.ark
mkdir halves
stage extract halves/h.npy '--halves 9' --audio audio --model iv.safetensors --format npy --halves 10 --out halves/h.npy
rm halves/h.utts.txt
runs "$bin/voxloop-extract" --audio audio --model iv.safetensors --format npy --halves 10 --out halves/h.npy
"$bin/voxloop-finetune" --quiet --audio audio --labels utt2spk --architecture $small --steps 1 --batch 4 --frames 60 --out fresh.safetensors || fail "finetune"
stage finetune fine.safetensors '--margin 0.3' $training --labels utt2spk --init fresh.safetensors --teacher e.tar.zst \
    --objectives aam,teacher --gate-epoch 1 --steps 2 --frames 60 --out fine.safetensors
rm gate.json
runs "$bin/voxloop-finetune" $training --labels utt2spk --init fresh.safetensors --teacher e.tar.zst \
    --objectives aam,teacher --gate-epoch 1 --steps 2 --frames 60 --out fine.safetensors
stage finetune pair.safetensors '--margin 0.3' --audio audio --batch 4 --labels utt2spk --architecture $small --objectives aam,pair --views 2 \
    --steps 2 --frames 60 --out pair.safetensors
"$bin/voxloop-cluster" --quiet --embeddings e.tar.zst --clusters 4 --out before.tar.zst --report before.json 2>/dev/null || fail "cluster"
cut -d ' ' -f 1 utt2spk >list
"$bin/voxloop-extract" --quiet --audio audio --model iv.safetensors --format npy --out e.npy || fail "extract"
stage cluster l.tar.zst '--clusters 3' --embeddings e.npy --list list --clusters 4 --previous before.tar.zst --truth utt2spk \
    --out l.tar.zst --report c.json
rm c.json
runs "$bin/voxloop-cluster" --embeddings e.npy --list list --clusters 4 --previous before.tar.zst --truth utt2spk --out l.tar.zst --report c.json
stage assign a.tar.zst '--seed 2' --embeddings e.npy --list list --labels l.tar.zst --out a.tar.zst --report a.json
rm a.json
runs "$bin/voxloop-assign" --embeddings e.npy --list list --labels l.tar.zst --out a.tar.zst --report a.json
awk '{u[NR] = $1; s[NR] = $2} END {for (i = 1; i <= NR; i++) for (j = 1; j < i; j++) print (s[i] == s[j]), u[i], u[j]}' utt2spk >trials
stage check found.json '--seed 2' --audio audio --test audio --trials trials --truth utt2spk --weights pre.safetensors --noise noise \
    --rir rir --out found.json
awk '{print ($1 + NR % 5 == 1 ? 1 - $1 : $1), $2, $3}' trials >others
"$bin/voxloop-extract" --quiet --audio audio --model pair.safetensors --out p.tar.zst || fail "extract"
stage evaluate s.txt '--top 3' --embeddings e.npy --list list --trials trials --norm as-norm --top 4 --cohort e.tar.zst \
    --cohort-labels l.tar.zst --audio audio --scores s.txt --report eval.json
stage evaluate s2.txt '--seed 5' --embeddings p.tar.zst --trials others --crop-embeddings p.tar.zst --pair-head pair.safetensors \
    --calibrate cal.json --scores s2.txt --report eval2.json
rm cal.json
runs "$bin/voxloop-evaluate" --embeddings p.tar.zst --trials others --crop-embeddings p.tar.zst --pair-head pair.safetensors \
    --calibrate cal.json --scores s2.txt --report eval2.json
stage evaluate s3.txt '--label-free-pairs 3' --embeddings halves/h.npy --label-free --label-free-pairs 4 --audio audio --calibration cal.json \
    --scores s3.txt --report eval3.json
awk '{print $1, NR % 2 ? "x" : "y"}' utt2spk >domains
stage evaluate s4.txt '--seed 5' --embeddings e.npy --list list --trials trials --domains domains --scores s4.txt --report eval4.json
cp "$source_folder/tests/golden/import/wavlm_ssl_sv.pt" peer.pt
stage import tuned.safetensors '--seed 2' --model peer.pt --out tuned.safetensors
stage import own.pt '--seed 2' --export --model tuned.safetensors --out own.pt
rm own.json
runs "$bin/voxloop-import" --export --model tuned.safetensors --out own.pt
stage import hf/model.safetensors '--seed 2' --export --form hugging-face --model tuned.safetensors --out hf
rm hf/config.json
runs "$bin/voxloop-import" --export --form hugging-face --model tuned.safetensors --out hf
stage import back.safetensors '--seed 2' --model own.pt --out back.safetensors
sed -i 's/$/ /' own.json
runs "$bin/voxloop-import" --model own.pt --out back.safetensors
mkdir -p work/iter0 && cp eval.json c.json work/iter0 && mv work/iter0/c.json work/iter0/clusters.json && cp l.tar.zst work/iter0/labels.tar.zst
stage report page.html '--seed 2' --work work --truth utt2spk --out page.html
echo 'step 1 loss 2 grad 1' >work/iter0/pretrain.log
runs "$bin/voxloop-report" --work work --truth utt2spk --out page.html
if command -v espeak-ng >/dev/null; then
    stage demo-corpus demo/corpus.tsv '--spread 0.9' --voices 2 --test-voices 2 --utterances 2 --out demo
    given[demo-corpus.out]=1
    rm demo/train/*.wav
    runs "$bin/voxloop-demo-corpus" --voices 2 --test-voices 2 --utterances 2 --out demo
fi

# What was not given was not tried: an option that names a file needs a place above.
for program in "$bin"/voxloop-*; do
    name=${program##*/voxloop-}
    [ "$name" != demo-corpus ] || command -v espeak-ng >/dev/null || continue
    for option in $(paths "$name"); do
        [ -n "${given[$name.$option]:-}" ] || fail "no run of voxloop-$name with --$option"
    done
done

# An input that is another file: each in its turn, by content.
echo 'x' >>utt2spk.more
cp e.tar.zst e2.tar.zst
sed '1s/s0$/s1/' utt2spk >utt2spk2
base="$bin/voxloop-finetune $training --init fresh.safetensors --teacher e.tar.zst --objectives aam,teacher --gate-epoch 1 --steps 2 --frames 60 --out fine.safetensors"
artefact=fine.safetensors
quietly $base --labels utt2spk
cp utt2spk elsewhere
quietly $base --labels elsewhere
runs $base --labels utt2spk2
runs $base --labels utt2spk
# The same values, said elsewhere: in a file, in another place of it, by --set, over a value that they replace.
printf '[finetune]\nframes = 60\n[pretrain]\nframes = 7\n' >a.ini
printf 'frames = 60\nsteps = 9\nquiet = yes\n' >b.ini
other="$bin/voxloop-finetune $training --init fresh.safetensors --teacher e.tar.zst --objectives aam,teacher --gate-epoch 1 --out fine.safetensors --labels utt2spk"
quietly $other --config a.ini --steps 2
quietly $other --config b.ini --set steps=2
quietly $other --config b.ini --steps 2 --set frames=61 --frames=60
quietly $other --set frames=60 --steps 2 --margin 0.2 --scale 30 --no-speed --margin-start=0
cp noise/n.wav noise/m.wav
runs $base --labels utt2spk
# Audio that was prepared again and is the same audio.
"$bin/voxloop-prepare" --quiet --audio kaldi --segments parts --compression 9 --out audio || fail "prepare"
quietly $base --labels utt2spk
"$bin/voxloop-prepare" --quiet --audio recordings --copies keep --out audio2 || fail "prepare"
sed 1d audio2/utts.tsv | cut -f 1 | awk '{split($1, part, "-"); print $1, part[1]}' >utt2spk3
# The same names and lengths, another voice: utts.tsv alone does not tell.
"$bin/voxloop-extract" --quiet --audio audio2 --model iv.safetensors --out t.tar.zst || fail "extract"
artefact=t.tar.zst
quietly "$bin/voxloop-extract" --audio audio2 --model iv.safetensors --out t.tar.zst
cp recordings/s3-u0.wav recordings/s0-u0.wav
cp audio2/utts.tsv utts.before
"$bin/voxloop-prepare" --quiet --audio recordings --copies keep --out audio2 || fail "prepare"
cmp audio2/utts.tsv utts.before || fail "this was meant to keep the table"
runs "$bin/voxloop-extract" --audio audio2 --model iv.safetensors --out t.tar.zst

# A plan and a printed line are never up to date.
expect 0 'plan: ' "$bin/voxloop-cluster" --plan 1000 --embeddings e.npy --out l.tar.zst --report c.json --if-changed
expect 0 'iter0: ' "$bin/voxloop-report" --work work --line iter0 --if-changed
# Contradictions are misuse first.
expect_one_line 2 'either --trials FILE or --label-free' "$bin/voxloop-evaluate" --embeddings e.npy --scores s.txt --report eval.json --if-changed
echo "if_changed: fine"
