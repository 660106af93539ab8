#!/bin/bash
# Every option reaches what it is for: each stage runs at a tiny size, and again with each of its settings, one at a time,
# at another value; what it makes has other bytes. Which options are settings is what the record says
# (cache/provenance.h), so a new one without a line here fails. Neutral ones change nothing, and are tried, too.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1

tones recordings 4000
"$bin/voxloop-prepare" --quiet --audio recordings --out audio || fail "prepare"
sed 1d audio/utts.tsv | cut -f 1 | awk '{split($1, part, "-"); print $1, part[1]}' >utt2spk
small=channels=16,embed_dim=8,pre_pool_channels=16,astp_bottleneck_dim=4,se_bottleneck_dim=4
tiny=encoder_layers=2,encoder_embed_dim=16,encoder_ffn_embed_dim=32,encoder_attention_heads=2,conv_pos=8,conv_pos_groups=2,head_nb=2,compression_dim=8,outputs_dim=8

# content FILE: digest of what counts: tensors without their metadata, embeddings and labels without their container.
content() {
    local header
    case $1 in
    *.safetensors)
        header=$(od -An -tu8 -N 8 "$1" | tr -d ' ')
        tail -c +$((header + 9)) "$1" | sha256sum ;;
    *.tar.zst) tar --zstd -xOf "$1" | sha256sum ;;
    *) sha256sum <"$1" ;;
    esac
}
# names FILE KEY: the names in an object of a record.
names() { KEY=$2 perl -0777 -ne '/"$ENV{KEY}":\t\{(.*?)\n\t\}/s or die "no $ENV{KEY}"; my $body = $1; print "$1\n" while $body =~ /\n\t\t"([^"]+)":/g' "$1"; }

# run STAGE OUT OPTION...: the digest of OUT, which the stage makes.
run() {
    local stage=$1 out=$2
    shift 2
    rm -rf made
    mkdir made
    "$bin/voxloop-$stage" --quiet --threads 1 "$@" >log 2>&1 || { cat log >&2; fail "$stage $*"; }
    content "$out"
}
# reach STAGE OUT "BASE" <<LINES: a line is NAME VALUE [OPTION...]: with the options before and after, the value changes
# the content. A VALUE is as given on the command line: --NAME=VALUE. `= NAME VALUE` must change nothing; `- NAME` is
# not tried, for the reason behind it.
reach() {
    local stage=$1 out=$2 base=$3 plain before after name value rest tried=
    plain=$(run "$stage" "$out" $base) || exit 1
    names "$out.json" options | sort >settings
    names "$out.json" neutral | grep -vxE 'threads|quiet|if-changed|check' | sort >neutral
    while read -r name value rest; do
        case $name in
        '' | '#'*) continue ;;
        -)
            tried="$tried$value"$'\n'
            continue ;;
        =)
            set -- $value $rest
            name=$1 value=$2 rest=${*:3}
            grep -qx -- "$name" neutral || fail "$stage: --$name is not neutral"
            before=$plain
            [ -z "$rest" ] || before=$(run "$stage" "$out" $base $rest) || exit 1
            after=$(run "$stage" "$out" $base $rest "--$name=$value") || exit 1
            [ "$before" = "$after" ] || fail "$stage: --$name=$value changes bytes, though it is neutral" ;;
        *)
            grep -qx -- "$name" settings || fail "$stage: --$name is no setting"
            before=$plain
            [ -z "$rest" ] || before=$(run "$stage" "$out" $base $rest) || exit 1
            after=$(run "$stage" "$out" $base $rest "--$name=$value") || exit 1
            [ "$before" != "$after" ] || fail "$stage: --$name=$value changes nothing ($rest)" ;;
        esac
        tried="$tried$name"$'\n'
    done
    diff <(sort settings neutral) <(printf %s "$tried" | sort -u) >&2 || fail "$stage: options without a line here (<), or lines without an option (>)"
}

train="--audio audio --batch 4 --augment 0"
running='
= log-every 1
= checkpoint-every 1
= checkpoint-minutes 0.0001
= loaders 3
- plan  makes nothing'
shared="$running
epochs 2 --steps=0 --epochs=1
steps 4
min-steps 40 --steps=0 --epochs=1
batch 6
augment 1
degrade 1
spec-augment 1
optimizer adamw
learning-rate 0.02
final-learning-rate 0.001
schedule constant
decay 0.5 --schedule=step --steps=9
warmup 0.6
momentum 0.5
weight-decay 0.01
clip 0.001
seed 3"

# Two labels are wrong, and the losses show it.
awk 'NR == 1 { $2 = "s3" } NR == 7 { $2 = "s0" } { print }' utt2spk >noisy
doubtful="--labels=noisy --steps=60 --scale=2 --margin=0 --learning-rate=0.02"
"$bin/voxloop-warmup" --quiet $train --architecture frontend=fbank,$tiny --steps 2 --frames 60 --clusters 4 --seed 9 --out warm.safetensors || fail "warm"
"$bin/voxloop-finetune" --quiet $train --labels utt2spk --architecture $small --steps 2 --frames 60 --seed 9 --out start.safetensors || fail "start"
reach finetune made/m.safetensors "$train --labels utt2spk --architecture $small --steps 3 --frames 60 --out made/m.safetensors" <<END
$shared
encoder resnet18 --architecture=small
architecture $small,res2net_scale=4
keep-classes yes --init=start.safetensors
freeze layer1
frames 70
most-per-speaker 2 --steps=9
speed yes
parts 2
- plan-classes  makes nothing
objectives aam,supcon --views=2
balance yes --objectives=aam,supcon --views=2
views 2
same-recording yes --views=2
temperature 0.5 --objectives=aam,supcon --views=2
contrast-margin 0.3 --objectives=aam,supcon --views=2
margin 0.4
margin-start 0.1
margin-ramp 0
scale 20
subcentres 3
easy-margin yes --margin-start=0.3 --margin=0.3
pull 0.5 --init=start.safetensors
gate-epoch 12 $doubtful
correct-epoch 13 $doubtful --gate-epoch=12
confidence 1 $doubtful --gate-epoch=12 --correct-epoch=13
encoder-rate 0.1
nesterov no
END

reach pretrain made/m.safetensors "$train --architecture $small --steps 3 --long-frames 60 --short-frames 40 --prototypes 16
    --hidden 8 --bottleneck 4 --frozen-epochs 0 --out made/m.safetensors" <<END
$shared
encoder resnet18 --architecture=small
architecture $small,res2net_scale=4
parts 2
long-crops 3
long-frames 70
short-crops 3
short-frames 50
prototypes 17
hidden 9
bottleneck 5
student-temperature 0.2
teacher-temperature 0.08
teacher-temperature-start 0.02 --teacher-temperature-warmup=0.9
teacher-temperature-warmup 0.9 --teacher-temperature=0.08
center-momentum 0.1
ema 0.5
frozen-epochs 0.5
variance-weight 1
covariance-weight 1
koleo-weight 0.1
ssps-epoch 2 --steps=9
ssps-clusters 3 --ssps-epoch=2 --steps=9
nesterov yes
END

reach warmup made/m.safetensors "$train --architecture frontend=fbank,$tiny --mix 0 --steps 3 --frames 60 --clusters 4 --out made/m.safetensors" <<END
$(printf '%s\n' "$shared" | grep -v '^optimizer\|^momentum')
optimizer sgd
momentum 0.5 --optimizer=sgd --steps=6
nesterov yes --optimizer=sgd --steps=6
encoder wavlm-large --architecture=encoder_layers=1,encoder_embed_dim=16,encoder_ffn_embed_dim=32,encoder_attention_heads=2,conv_channels=8,head_nb=2,compression_dim=8,outputs_dim=8
architecture frontend=fbank,$tiny,conv_pos=4
frames 70
clusters 3
target-layer 2 --targets=warm.safetensors --init=warm.safetensors
mask-share 0.3
mask-length 3
mix 1
END

# With pauses, or there is nothing that --vad could leave out.
cp -r recordings paused
for file in paused/*.wav; do perl -e 'open my $f, "+<:raw", $ARGV[0] or die; seek $f, 44, 0; print $f "\0" x 16000' "$file"; done
"$bin/voxloop-prepare" --quiet --audio paused --out pauses || fail "prepare"
reach ivector made/m.safetensors "--audio pauses --gaussians 4 --ivector-dim 4 --ceps 5 --deltas 1 --out made/m.safetensors" <<END
gaussians 5
ivector-dim 5
diagonal-iterations 2
full-iterations 1
tv-iterations 2
ubm-frames 500
tv-utts 7
prior 3
ceps 6
deltas 2
mean-window 0
vad no
seed 2
- plan  makes nothing
END

"$bin/voxloop-ivector" --quiet --audio audio --gaussians 4 --ivector-dim 4 --ceps 5 --deltas 1 --out iv.safetensors || fail "ivector"
reach extract made/e.npy "--audio audio --model iv.safetensors --format npy --out made/e.npy" <<END
format shard
longest-seconds 0.5
halves 5
crops 3
crop-frames 30 --crops=3
- seed  draws nothing: an embedding depends on its audio alone
= batch 3
= checkpoint-every 1
= checkpoint-minutes 0.0001
END

"$bin/voxloop-extract" --quiet --audio audio --model iv.safetensors --out iv.tar.zst || fail "extract"
"$bin/voxloop-extract" --quiet --audio pauses --model iv.safetensors --out cohort.tar.zst || fail "extract"
# 240 rows around 40 directions.
perl -e '
    srand(7);
    my ($n, $dim) = (240, 8);
    my $head = "{\x27descr\x27: \x27<f4\x27, \x27fortran_order\x27: False, \x27shape\x27: ($n, $dim), }";
    print "\x93NUMPY\1\0", pack("v", 118), $head, " " x (117 - length $head), "\n";
    my @voice;
    for my $i (0 .. $n - 1) {
        @voice = map { rand(2) - 1 } 1 .. $dim if $i % 6 == 0;
        print pack("f<*", map { $_ + 0.5 * (rand(2) - 1) } @voice);
    }' >x.npy
seq -f 'u%03g' 0 239 >rows
reach cluster made/l.tar.zst "--embeddings x.npy --list rows --whiten 0 --out made/l.tar.zst --report made/c.json" <<END
clusters 7
threshold-distance 0.5
threshold-similarity 0.9 --linkage=average
linkage ward --clusters=30
centroids 60 --clusters=20
iterations 1 --clusters=20 --centroids=60
redo 5 --clusters=20 --centroids=60
weighted yes --clusters=20 --centroids=60
whiten 3
center yes
min-size 6 --clusters=50
seed 4 --clusters=20 --centroids=60
- stability-points  below: it decides whether the report has an agreement to choose by
- plan  makes nothing
END
for points in 100 10000; do
    run cluster made/c.json --embeddings x.npy --list rows --stability-points $points --out made/l.tar.zst --report made/c.json >/dev/null
    mv made/c.json c$points.json
done
cmp -s c100.json c10000.json && fail "cluster: --stability-points=100 changes nothing"

awk '{u[NR] = $1; s[NR] = $2} END {for (i = 1; i <= NR; i++) for (j = 1; j < i; j++) print (s[i] == s[j]), u[i], u[j]}' utt2spk >trials
reach evaluate made/s.txt "--embeddings iv.tar.zst --trials trials --scores made/s.txt --report made/e.json" <<END
- label-free  below
- label-free-pairs  below
- session  below
- seed  below
- domains-by-folder  below
center yes
norm s-norm --cohort=cohort.tar.zst --norm=as-norm --top=4
top 3 --cohort=cohort.tar.zst --norm=as-norm --top=5
END
reach_label_free="--embeddings iv.tar.zst --label-free --session ^(s[0-9]) --label-free-pairs 5"
mkdir folders
for i in 0 1 2 3; do mkdir folders/$i && cp recordings/s$i-u*.wav folders/$i/; done
"$bin/voxloop-prepare" --quiet --audio folders --out in_folders && "$bin/voxloop-extract" --quiet --audio in_folders --model iv.safetensors --out f.tar.zst || fail "folders"
sed 's#s\([0-9]\)-#\1/s\1-#g' trials >folder_trials
by_folder="--embeddings f.tar.zst --trials folder_trials --scores made/s.txt --report made/e.json"
[ "$(run evaluate made/s.txt $by_folder)" != "$(run evaluate made/s.txt $by_folder --domains-by-folder)" ] ||
    fail "evaluate: --domains-by-folder changes nothing"
for other in "--label-free-pairs 3" "--seed 3" "--session -(u[0-9])"; do
    [ "$(run evaluate made/s.txt $reach_label_free --scores made/s.txt --report made/e.json)" != \
        "$(run evaluate made/s.txt $reach_label_free $other --scores made/s.txt --report made/e.json)" ] || fail "evaluate: $other changes nothing"
done

# One of 1.1 s, at half the level, among those of 1.5 s.
perl -e 'local $/; my ($from, $to) = @ARGV; open my $in, "<:raw", $from or die; my $x = pack "s<*", map { $_ / 2 } unpack "s<*", substr <$in>, 44, 35200; open my $out, ">:raw", $to or die;
    print $out "RIFF", pack("V", 36 + length $x), "WAVEfmt ", pack("VvvVVvv", 16, 1, 1, 16000, 32000, 2, 16), "data", pack("V", length $x), $x' \
    recordings/s0-u0.wav recordings/short.wav
cp recordings/s3-u2.wav recordings/twin.wav
reach prepare made/utts.tsv "--audio recordings --out made" <<END
min-seconds 1.2
max-seconds 1.2
silence-db -20
copies keep
- shard-mib  below: these recordings are less than a MiB
- compression  below: the audio is the same, the shard's bytes are not
- seed  draws nothing
END
run prepare made/utts.tsv --audio recordings --out made >/dev/null && before=$(sha256sum <made/audio-00000.tar.zst)
run prepare made/utts.tsv --audio recordings --out made --compression 15 >/dev/null
[ "$(sha256sum <made/audio-00000.tar.zst)" != "$before" ] || fail "prepare: --compression 15 changes nothing"
for i in $(seq 30); do cp recordings/s1-u0.wav recordings/again$i.wav; done
run prepare made/utts.tsv --audio recordings --out made --copies keep --shard-mib 1 >/dev/null
[ -e made/audio-00001.tar.zst ] || fail "prepare: --shard-mib 1 changes nothing"
echo "options_reach: fine"
