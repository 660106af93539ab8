#!/bin/bash
# voxloop-prepare from a folder, a wav.scp and a list: the same audio under the names that each gives, the same
# shards whatever the threads, and nothing left of an earlier preparation.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
"$bin/../tests/tool_strange_audio" strange || fail "the strange recordings could not be made"
prepare() { "$bin/voxloop-prepare" --quiet "$@"; }
audio_of() { tar --zstd -xOf "$1/audio-00000.tar.zst" "$2" | sha256sum; }

echo 'no recording' >strange/fine/README.txt
prepare --audio strange/fine --out folder || fail "a folder was not prepared"
[ "$(head -n 1 folder/utts.tsv)" = "$(printf 'utt\tshard\tsamples')" ] || fail "utts.tsv has another header"
[ "$(sed 1d folder/utts.tsv | cut -f 1)" = "$(cd strange/fine && printf '%s\n' * | grep -v README | LC_ALL=C sort)" ] ||
    fail "utts.tsv does not list the folder's recordings in order: $(cat folder/utts.tsv)"
[ "$(cat folder/rejects.tsv)" = "$(printf 'path\treason')" ] || fail "something was rejected: $(cat folder/rejects.tsv)"

# A 16 kHz mono PCM16 file goes through unchanged.
tail -c 96000 strange/fine/mono.wav | sha256sum >original
tar --zstd -xOf folder/audio-00000.tar.zst mono.wav.wav | tail -c 96000 | sha256sum | cmp -s - original ||
    fail "16 kHz mono PCM16 was changed"

printf 'speaker-b %s\nspeaker-a %s\n' strange/fine/mono.wav strange/fine/24-bit.flac >wav.scp
prepare --audio wav.scp --out scp || fail "a wav.scp was not prepared"
[ "$(sed 1d scp/utts.tsv | cut -f 1 | paste -sd ' ')" = "speaker-a speaker-b" ] || fail "wav.scp: $(cat scp/utts.tsv)"
[ "$(audio_of scp speaker-b.wav)" = "$(audio_of folder mono.wav.wav)" ] || fail "wav.scp gave other audio"

printf '%s\n' strange/fine/mono.wav strange/bad/text.wav strange/fine/24-bit.flac >list.txt
prepare --audio list.txt --out list || fail "a list was not prepared"
[ "$(sed 1d list/utts.tsv | cut -f 1 | paste -sd ' ')" = "strange/fine/24-bit.flac strange/fine/mono.wav" ] || fail "list: $(cat list/utts.tsv)"
grep -q '^strange/bad/text.wav' list/rejects.tsv || fail "list: the reject is missing"
cat list.txt list.txt >twice.txt
expect_one_line 1 'twice.txt lists .* twice' prepare --audio twice.txt --out twice

# A Kaldi data directory: utterances inside recordings, the ids of segments.
mkdir kaldi
printf 'call %s\n' "$PWD/strange/fine/mono.wav" >kaldi/wav.scp
printf 'b-1 call 0.5 2.0\na-1 call 1.0 -1\nc-1 call 2.5 9.0\n' >kaldi/segments
prepare --audio kaldi --out cut || fail "a Kaldi data directory was not prepared"
[ "$(sed 1d cut/utts.tsv | cut -f 1,3 | paste -sd ' ')" = "$(printf 'a-1\t32000 b-1\t24000')" ] || fail "segments: $(cat cut/utts.tsv)"
grep -q '^c-1.*behind' cut/rejects.tsv || fail "a segment behind the end: $(cat cut/rejects.tsv)"
tar --zstd -xOf cut/audio-00000.tar.zst b-1.wav | tail -c 48000 | cmp -s - <(tail -c +16001 strange/fine/mono.wav | tail -c 80000 | head -c 48000) ||
    fail "a segment holds other samples"
printf 'a-1 other 0 1\n' >strangers
expect_one_line 1 'strangers:1: .*no recording other' prepare --audio kaldi --segments strangers --out none
printf 'a-1 call 2 1\n' >backwards
expect_one_line 1 'backwards:1: ' prepare --audio kaldi --segments backwards --out none
expect_one_line 1 'wav.scp' prepare --audio strange/fine --segments backwards --out none

cp -r strange/fine strange/again
cp -r strange/fine strange/more # 2.9 MB: three shards
# One MiB a shard: the same bytes from one thread and from four, and no shard of before stays.
for threads in 4 1; do
    prepare --audio strange --out shards --shard-mib 1 --threads $threads || fail "shards were not prepared"
    (cd shards && sha256sum audio-* utts.tsv rejects.tsv) >sums.$threads
done
cmp sums.1 sums.4 || fail "the shards depend on the number of threads"
[ "$(cd shards && echo audio-*)" = "audio-00000.tar.zst audio-00001.tar.zst audio-00002.tar.zst" ] || fail "not three shards: $(ls shards)"
prepare --audio strange --out shards || fail "the second preparation failed"
[ "$(cd shards && echo audio-*)" = "audio-00000.tar.zst" ] || fail "shards of an earlier preparation stay: $(ls shards)"
# What cannot be walked is said, and costs nothing else.
mkdir odd && cp strange/fine/mono.wav odd/ && ln -s .. odd/up && ln -s nowhere odd/gone.wav && mkfifo odd/pipe.wav
"$bin/voxloop-prepare" --audio odd --out odd-out 2>log || { cat log >&2; fail "links and pipes ended the run"; }
[ "$(sed 1d odd-out/utts.tsv | cut -f 1)" = mono.wav ] || fail "odd: $(cat odd-out/utts.tsv)"
grep -q '^gone.wav.*No such file' odd-out/rejects.tsv || fail "a dangling link is not among the rejects: $(cat odd-out/rejects.tsv)"
grep -q 'warning: odd/up is left out: ' log && grep -q 'warning: odd/pipe.wav is left out: a pipe' log || { cat log >&2; fail "no warning"; }
echo "prepare: fine"
