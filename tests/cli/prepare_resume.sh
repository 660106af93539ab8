#!/bin/bash
# voxloop-prepare, killed at moments that are drawn and started again: finished shards are kept, and the folder
# ends byte for byte as without the kills. KILL_SEED repeats a failing run.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
seed=${KILL_SEED:-$RANDOM}
RANDOM=$seed
echo "KILL_SEED=$seed"
"$bin/../tests/tool_strange_audio" strange || fail "the strange recordings could not be made"
# 16 folders of the strange recordings, each with a sound of its own, a silent one, and the sound of a folder before.
mkdir corpus
for copy in $(seq -w 16); do
    cp -r strange/fine "corpus/$copy"
    ln -s ../../strange/bad/silent.wav "corpus/$copy/silent.wav"
    perl -e 'print "RIFF", pack("V", 36 + 640000), "WAVEfmt ", pack("VvvVVvv", 16, 1, 1, 16000, 32000, 2, 16), "data", pack("V", 640000);
        $x = $ARGV[0]; print pack("s<*", map { $x = ($x * 69069 + 1) % 65536; $x - 32768 } 1 .. 320000)' "$copy" >"corpus/$copy/own.wav"
    ln -s ../01/own.wav "corpus/$copy/zz.wav"
done
options="--quiet --shard-mib 1 --threads 2"
prepare() { "$bin/voxloop-prepare" $options "$@"; }
sums() { (cd "$1" && sha256sum audio-*.zst utts.tsv rejects.tsv); }

SECONDS=0
start=$(date +%s%N)
prepare --audio corpus --out whole || fail "the undisturbed run failed"
milliseconds=$((($(date +%s%N) - start) / 1000000))
[ -z "$(find whole -name '*.part' -o -name '*.tmp-*')" ] || fail "left in a finished folder: $(ls -A whole)"

for round in 1 2; do
    rm -rf killed
    for kill in 1 2 3; do
        # Not through the function: its subshell would be killed in place of the program.
        "$bin/voxloop-prepare" $options --audio corpus --out killed &
        sleep "$(printf '0.%03d' $((RANDOM % (milliseconds > 900 ? 900 : milliseconds))))"
        kill -KILL $! 2>/dev/null
        wait $! 2>/dev/null
        [ ! -e killed/utts.tsv ] || break
    done
    before=$(ls killed 2>/dev/null | grep -c '^audio-.*zst$')
    prepare --audio corpus --out killed || fail "the run after the kills failed (KILL_SEED=$seed)"
    sums whole >wanted
    sums killed | diff wanted - >&2 || fail "other bytes after kills with $before shards done (KILL_SEED=$seed)"
    [ -z "$(find killed -name '*.part' -o -name '*.tmp-*')" ] || fail "left behind: $(ls -A killed)"
    echo "round $round: went on from $before shards"
done

# A finished shard is not written again: it keeps its time. Killed for certain once three shards are there.
rm -rf killed
"$bin/voxloop-prepare" $options --threads 1 --audio corpus --out killed &
until [ -e killed/.audio-00002.part ] || ! kill -0 $! 2>/dev/null; do sleep 0.002; done
kill -KILL $! 2>/dev/null
wait $! 2>/dev/null
if [ ! -e killed/utts.tsv ]; then
    touch -d 2001-01-01 killed/audio-00000.tar.zst killed/audio-00001.tar.zst
    expect 0 'goes on behind the [0-9]+ recordings' "$bin/voxloop-prepare" --shard-mib 1 --threads 2 --audio corpus --out killed
    sums killed | diff wanted - >&2 || fail "other bytes after a resumed run"
    [ "$(stat -c %y killed/audio-00001.tar.zst | cut -c 1-4)" = 2001 ] || fail "a finished shard was written again"
fi

# Other recordings: nothing of the interrupted run is taken over.
rm -rf killed
"$bin/voxloop-prepare" $options --audio corpus --out killed &
until [ -e killed/.audio-00001.part ] || ! kill -0 $! 2>/dev/null; do sleep 0.002; done
kill -KILL $! 2>/dev/null
wait $! 2>/dev/null
rm -r corpus/01
prepare --audio corpus --out killed || fail "the run over fewer recordings failed"
prepare --audio corpus --out fewer || fail "the run over fewer recordings failed"
sums fewer >wanted
sums killed | diff wanted - >&2 || fail "an interrupted run over other recordings left traces"

# Nothing usable: one line with the first reason, and no folder. A good folder stays as it was.
expect_one_line 1 'strange/bad: none of the 8 recordings can be used; the first, corrupt.flac: ' prepare --audio strange/bad --out none
[ ! -e none ] || fail "a folder without utterances was left: $(ls -A none)"
expect_one_line 1 'none of the 8' prepare --audio strange/bad --out fewer
sums fewer | diff wanted - >&2 || fail "a failed run damaged a finished folder"
echo "prepare_resume: fine"
