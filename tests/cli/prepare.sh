#!/bin/bash
# voxloop-prepare from a folder, a wav.scp and a list: the same audio under the names that each gives, the same
# shards whatever the threads, and nothing left of an earlier preparation.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
"$bin/../tests/tool_strange_audio" strange || fail "the strange recordings could not be made"
prepare() { "$bin/voxloop-prepare" --quiet "$@"; }
audio_of() { tar --zstd -xOf "$1/audio-00000.tar.zst" "$2" | sha256sum; }

echo 'no recording' >strange/fine/README.txt
prepare --audio strange/fine --copies keep --out folder || fail "a folder was not prepared"
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
# The channel of a segment, and the side of a call that the data directory names.
mkdir call
perl -e 'print "RIFF", pack("V", 36 + 4 * 32000), "WAVEfmt ", pack("VvvVVvv", 16, 1, 2, 16000, 64000, 4, 16), "data", pack("V", 4 * 32000),
    map { pack("s<2", 5000 * sin($_ / 9), 9000 * sin($_ / 31)) } 1 .. 32000' >call/call.wav
printf 'call %s\ncopy %s\n' "$PWD/call/call.wav" "$PWD/call/call.wav" >call/wav.scp
printf 'left call 0 1 0\nright call 0 1 1\nside-b call 0.5 -1 B\nboth call 0 1\nthird call 0 1 2\nof-copy copy 0 1\n' >call/segments
prepare --audio call --copies keep --out sides || fail "segments with channels were not prepared"
side() { tar --zstd -xOf "$1/audio-00000.tar.zst" "$2.wav" | tail -c +45 | od -An -t d2 -v -w2 | awk '{ printf "%d\n", $1 }' | sed -n "$3p"; }
[ "$(side sides left 300) $(side sides right 300) $(side sides side-b 300)" = \
    "$(perl -e 'printf "%d %d %d", 5000 * sin(300 / 9), 9000 * sin(300 / 31), 9000 * sin(8300 / 31)')" ] || fail "segments of one channel hold other samples"
grep -qP '^third\t.*has 2 channels: no channel 2' sides/rejects.tsv || fail "a channel that is not there: $(cat sides/rejects.tsv)"
cmp -s <(tar --zstd -xOf sides/audio-00000.tar.zst both.wav) <(tar --zstd -xOf sides/audio-00000.tar.zst left.wav) && fail "without a channel one was taken"
printf 'call call A\ncopy call B\n' >call/reco2file_and_channel
prepare --audio call --copies keep --out sides || fail "a data directory with sides was not prepared"
[ "$(audio_of sides of-copy.wav) $(audio_of sides both.wav)" = "$(audio_of sides right.wav) $(audio_of sides left.wav)" ] || fail "sides of a call are not honoured"
printf 'left call 0 1 x\n' >call/segments
expect_one_line 1 'call/segments:1: x is no channel' prepare --audio call --out none
rm call/segments
prepare --audio call --copies keep --out sides || fail "calls without segments were not prepared"
[ "$(side sides copy 300)" = "$(perl -e 'printf "%d", 9000 * sin(300 / 31)')" ] || fail "whole recordings: the side of a call is not honoured"
printf 'call call left\n' >call/reco2file_and_channel
expect_one_line 1 'reco2file_and_channel: call: its side is not A or B' prepare --audio call --out none

printf 'a-1 other 0 1\n' >strangers
expect_one_line 1 'strangers:1: .*no recording other' prepare --audio kaldi --segments strangers --out none
printf 'a-1 call 2 1\n' >backwards
expect_one_line 1 'backwards:1: ' prepare --audio kaldi --segments backwards --out none
expect_one_line 1 'wav.scp' prepare --audio strange/fine --segments backwards --out none

# The same audio under several names: the first is kept, in the order of the ids, whatever the format and the threads.
mkdir -p copies/b
cp strange/fine/mono.wav copies/b/two.wav
cp strange/fine/mono.wav copies/zz.wav
tail -c 96000 strange/fine/mono.wav | perl -e 'undef $/; print "FORM", pack("N", 46 + 96000), "AIFFCOMM", pack("NnNn", 18, 1, 48000, 16),
    pack("H*", "400cfa00000000000000"), "SSND", pack("NNN", 96008, 0, 0), pack("n*", unpack("v*", <STDIN>))' >copies/b/one.aiff
cp strange/fine/24-bit.flac copies/other.flac
ln -s other.flac copies/another.flac
cp strange/bad/silent.wav copies/b/silent-1.wav
cp strange/bad/silent.wav copies/b/silent-2.wav
for threads in 1 3; do
    expect 0 '^prepare: 3 recordings with the same audio as another; rejected' "$bin/voxloop-prepare" --audio copies --out once --threads $threads
    [ "$(sed 1d once/utts.tsv | cut -f 1 | paste -sd ' ')" = "another.flac b/one.aiff" ] || fail "copies: $(cat once/utts.tsv)"
    [ "$(grep same once/rejects.tsv)" = "$(printf 'b/two.wav\tthe same audio as b/one.aiff\nother.flac\tthe same audio as another.flac\nzz.wav\tthe same audio as b/one.aiff')" ] ||
        fail "copies: $(cat once/rejects.tsv)"
done
expect 0 '^prepare: 3 recordings with the same audio as another; kept' "$bin/voxloop-prepare" --audio copies --copies keep --out kept
[ "$(sed 1d kept/utts.tsv | wc -l)" = 5 ] || fail "copies were not kept: $(cat kept/utts.tsv)"

# What was done to recordings is said.
mkdir treated
cat strange/fine/mono.wav strange/fine/stereo-44100.wav >treated/joined.wav
perl -e 'print "RIFF", pack("V", 36 + 4 * 32000), "WAVEfmt ", pack("VvvVVvv", 16, 1, 2, 16000, 64000, 4, 16), "data", pack("V", 4 * 32000),
    map { my $x = 5000 * sin($_ / 9); pack("s<2", $x, -$x) } 1 .. 32000' >treated/opposite.wav
perl -e 'print "RIFF", pack("V", 36 + 4 * 32000), "WAVEfmt ", pack("VvvVVvv", 16, 3, 1, 16000, 64000, 4, 32), "data", pack("V", 4 * 32000),
    map { pack("f<", $_ == 9000 ? 1e30 : 0.2 * sin($_ / 5)) } 1 .. 32000' >treated/wild.wav
expect 0 '1 recording of several streams joined in one file' "$bin/voxloop-prepare" --audio treated --out treated-audio
grep -q '1 recording with channels that cancel' output || fail "opposite channels were not mentioned: $(cat output)"
grep -q '1 recording with a few samples far beyond' output || fail "wild samples were not mentioned: $(cat output)"
[ "$(sed 1d treated-audio/utts.tsv | cut -f 1,3 | paste -sd ' ')" = "$(printf 'joined.wav\t96000 opposite.wav\t32000 wild.wav\t32000')" ] || fail "odd recordings: $(cat treated-audio/utts.tsv)"

cp -r strange/fine strange/again
cp -r strange/fine strange/more # 2.9 MB: three shards
# One MiB a shard: the same bytes from one thread and from four, and no shard of before stays.
for threads in 4 1; do
    prepare --audio strange --copies keep --out shards --shard-mib 1 --threads $threads || fail "shards were not prepared"
    (cd shards && sha256sum audio-* utts.tsv rejects.tsv) >sums.$threads
done
cmp sums.1 sums.4 || fail "the shards depend on the number of threads"
[ "$(cd shards && echo audio-*)" = "audio-00000.tar.zst audio-00001.tar.zst audio-00002.tar.zst" ] || fail "not three shards: $(ls shards)"
prepare --audio strange --copies keep --out shards || fail "the second preparation failed"
[ "$(cd shards && echo audio-*)" = "audio-00000.tar.zst" ] || fail "shards of an earlier preparation stay: $(ls shards)"
# What cannot be walked is said, and costs nothing else.
mkdir odd && cp strange/fine/mono.wav odd/ && ln -s .. odd/up && ln -s nowhere odd/gone.wav && mkfifo odd/pipe.wav
"$bin/voxloop-prepare" --audio odd --out odd-out 2>log || { cat log >&2; fail "links and pipes ended the run"; }
[ "$(sed 1d odd-out/utts.tsv | cut -f 1)" = mono.wav ] || fail "odd: $(cat odd-out/utts.tsv)"
grep -q '^gone.wav.*No such file' odd-out/rejects.tsv || fail "a dangling link is not among the rejects: $(cat odd-out/rejects.tsv)"
grep -q 'warning: odd/up is left out: ' log && grep -q 'warning: odd/pipe.wav is left out: a pipe' log || { cat log >&2; fail "no warning"; }
echo "prepare: fine"
