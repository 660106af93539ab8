#!/bin/bash
# What other programs write: their files, what they write to a pipe (where no size can be filled in), files joined
# with cat, and files cut off. A program that is not there is said and passed over.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
# Three seconds of a voice-like sound, and two of another: 48000 and 32000 samples at 16 kHz.
sound() {
    perl -e 'my ($n, $hz) = @ARGV; print "RIFF", pack("V", 36 + 2 * $n), "WAVEfmt ", pack("VvvVVvv", 16, 1, 1, 16000, 32000, 2, 16), "data", pack("V", 2 * $n);
        for (1 .. $n) { my ($t, $x) = ($_ / 16000, 0); my $phase = 6.2832 * ($hz * $t + 3 * sin(5 * $t));
            $x += sin($_ * $phase) / $_ for 1 .. 8; print pack("s<", 6000 * (1 + sin(9 * $t)) / 2 * $x) }' "$@"
}
sound 48000 120 >a.wav
sound 32000 190 >b.wav
mkdir audio pipes joined cut

there() {
    command -v "$1" >/dev/null || { echo "NOT TESTED: files of $1, which is not there" >&2; return 1; }
}
encode() { # NAME PROGRAM [ARGUMENT...]: IN and OUT stand for files
    local name=$1 side arguments
    shift
    there "$1" || return
    for side in a b; do
        arguments=("${@/#IN/$side.wav}")
        "${arguments[@]/#OUT/$side-$name}" >log 2>&1 </dev/null || { cat log >&2; fail "$1 did not write $name"; }
    done
    cp "a-$name" audio/
    cat "a-$name" "b-$name" >"joined/$name"
    head -c $(($(stat -c %s "a-$name") / 2)) "a-$name" >"cut/$name"
}
pipe() { # NAME PROGRAM [ARGUMENT...], which writes to its standard output
    local name=$1
    shift
    there "$1" || return
    "${@/#IN/a.wav}" 2>log </dev/null | cat >"pipes/$name"
}
encode lame-vbr.mp3 lame --quiet -V5 IN OUT
encode lame-cbr.mp3 lame --quiet -b 64 --tt title --id3v2-only IN OUT
encode lame-44100.mp3 lame --quiet -V3 --resample 44.1 --tt title --id3v1-only IN OUT
encode opusenc.opus opusenc --quiet IN OUT
encode oggenc.ogg oggenc -Q IN -o OUT
encode flac.flac flac -s -f IN -o OUT
encode flac.oga flac -s -f --ogg IN -o OUT
for ending in wav aiff au w64 caf flac mp3 rf64.wav; do
    arguments=()
    [ $ending != rf64.wav ] || arguments=(-rf64 always)
    encode ffmpeg.$ending ffmpeg -v error -y -i IN "${arguments[@]}" OUT
done
for ending in wav aiff au w64 caf flac sph avr; do
    encode sox.$ending sox IN OUT
done
for form in wav aiff au w64 caf flac mp3; do
    pipe ffmpeg.$form ffmpeg -v error -i IN -f $form -
done
pipe ffmpeg.rf64 ffmpeg -v error -i IN -rf64 always -f wav -
pipe ffmpeg-bare.mp3 ffmpeg -v error -i IN -write_xing 0 -q:a 5 -f mp3 -
for form in wav aiff au flac; do
    pipe sox.$form sox IN -t $form -
done
[ -n "$(ls audio)" ] || exit 77

# samples FOLDER: name and number of samples of each, rejects with their reason.
samples() {
    "$bin/voxloop-prepare" --quiet --copies keep --audio "$1" --out "$1-out" --min-seconds 0.1 2>log || true
    sed 1d "$1-out/utts.tsv" 2>/dev/null | cut -f 1,3
    [ ! -e "$1-out/rejects.tsv" ] || sed 1d "$1-out/rejects.tsv"
}
# Half a frame of mp3 or so may be there or not where nobody says how long the encoder delayed.
check() { # FOLDER SAMPLES SLACK
    samples "$1" >"$1.table"
    while IFS=$'\t' read -r name n; do
        [[ $n =~ ^[0-9]+$ ]] && [ $((n - $2)) -le "$3" ] && [ $(($2 - n)) -le "$3" ] || fail "$1/$name: $n, not $2 samples"
    done <"$1.table"
    [ "$(wc -l <"$1.table")" = "$(ls "$1" | wc -l)" ] || fail "$1: files are not accounted for: $(cat "$1.table")"
}
check audio 48000 1
check joined 80000 3
check pipes 48000 2400
# Nothing is taken at half its length. (One good file: without any there is no table.)
cp a.wav cut/good.wav
samples cut >cut.table
while IFS=$'\t' read -r name n; do
    [ $name = good.wav ] || [[ $n =~ ^(cut off|corrupt) ]] || fail "cut/$name: $n"
done <cut.table
[ "$(wc -l <cut.table)" = "$(ls cut | wc -l)" ] || fail "cut files are not accounted for: $(cat cut.table)"
echo "foreign_audio: fine"
