#!/bin/bash
# voxloop-demo-corpus: the same bytes in every account, locale, time zone and number of threads; no sound server is
# asked and nothing is left in HOME; nothing is removed that it did not make.
source "$(dirname "$0")/../support/shell.sh"
needs espeak-ng
cd "$scratch" || exit 1
chmod 755 "$scratch"
# The first sentence is by a voice whose breath is random numbers: it tells when the sound library draws some.
small=(--voices 4 --test-voices 2 --utterances 2 --seed 7)
corpus() { "$bin/voxloop-demo-corpus" --quiet "${small[@]}" "$@"; }
sums() { (cd "$1" && sha256sum corpus.tsv train.utt2spk test.utt2spk test.trials train/* test/*); }

mkdir home
HOME=$scratch/home corpus --out account || fail "the corpus was not made"
sed -n 2p account/corpus.tsv | grep -qE '\+(f2|f3|f5|Alicia)\s' || fail "no voice with breath: choose another seed"
sums account >wanted
[ -z "$(ls -A home)" ] || fail "left in HOME: $(find home)"
same() { # WHAT FOLDER
    sums "$2" | diff wanted - >&2 || fail "other bytes $1"
}
HOME=$scratch/home corpus --out again; same "the second time" again
mkdir fresh
HOME=$scratch/fresh XDG_RUNTIME_DIR=$scratch/none PULSE_RUNTIME_PATH=$scratch/none DISPLAY=:99 corpus --threads 1 --out fresh-home
same "in a fresh HOME" fresh-home
(unset HOME; corpus --out no-home); same "without HOME" no-home
HOME=/proc/nonexistent corpus --out unwritable; same "in a HOME that cannot be written" unwritable
env LC_ALL=de_DE.UTF-8 LANG=tr_TR.UTF-8 TZ=Asia/Kathmandu "$bin/voxloop-demo-corpus" --quiet "${small[@]}" --out elsewhere; same "in another locale" elsewhere
corpus --threads 1 --out one; same "with one thread" one
corpus --threads 3 --out three; same "with three threads" three
# A home with voices of its own, as espeak-ng looks for them.
mkdir -p tuned/espeak-ng-data && HOME=$scratch/tuned corpus --out tuned-home; same "with data in HOME" tuned-home
if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$bin/voxloop-demo-corpus"; then
    mkdir nobody && chown 65534 nobody
    HOME=/proc/nonexistent setpriv --reuid=65534 --regid=65534 --clear-groups \
        "$bin/voxloop-demo-corpus" --quiet "${small[@]}" --out nobody/corpus; same "as another user" nobody/corpus
else
    echo "NOT TESTED: another user (needs root, and a build that all may read)" >&2
fi
if command -v strace >/dev/null; then
    HOME=$scratch/fresh PULSE_SERVER=unix:$scratch/server strace -f -qq -e trace=connect,mkdir,mkdirat -o calls \
        "$bin/voxloop-demo-corpus" --quiet --voices 2 --test-voices 2 --utterances 2 --out traced
    ! grep -E 'connect\(' calls >&2 || fail "something was asked"
    ! grep -E 'mkdir.*"' calls | grep -vE 'traced' >&2 || fail "folders were made elsewhere"
else
    echo "NOT TESTED: that no server is asked (needs strace)" >&2
fi

# ---- whose files --------------------------------------------------------------------------------------------------

foreign() { expect_one_line 1 "$1 was not made by demo-corpus.*--out" corpus --out "$2"; }
# Somebody's own corpus with such folders: nothing is touched.
mkdir -p mine/train/a mine/test && echo precious >mine/train/a/b.wav && echo list >mine/test.trials
foreign 'mine/train/a/b.wav' mine
[ "$(cat mine/train/a/b.wav mine/test.trials)" = "$(printf 'precious\nlist')" ] || fail "a user's files were changed"
rm -r mine/train/a
foreign 'mine/test.trials' mine
printf '1\t2\t3\t4\t5\t6\t7\t8\nb\t2\t3\t4\t5\t6\t7\t8\n' >mine/corpus.tsv # no record of ours
rm mine/test.trials
foreign 'mine/corpus.tsv' mine
# A file among ours, and one of ours that was replaced.
echo precious >again/test/mine.txt
foreign 'again/test/mine.txt' again
sums again | grep -v mine.txt | diff wanted - || fail "a refused run changed the corpus"
rm again/test/mine.txt
first=$(cd again && ls train | head -1)
echo precious >"again/train/$first"
foreign "again/train/$first" again
cp "account/train/$first" "again/train/$first"
echo '1 a b' >>again/test.trials
foreign 'again/test.trials' again
cp account/test.trials again/test.trials
# Ours is replaced: another corpus, then the first again, with nothing of the other left.
"$bin/voxloop-demo-corpus" --quiet --voices 2 --test-voices 2 --utterances 2 --seed 6 --out again || fail "our own corpus was not replaced"
[ "$(ls again/train again/test | grep -c wav)" = 8 ] || fail "files of the first corpus stay"
corpus --out again; same "after another corpus" again
# Of a version that kept no record: corpus.tsv tells.
rm again/.made.tsv
corpus --out again; same "over a corpus without a record" again
rm again/.made.tsv
echo precious >again/train/mine.wav
foreign 'again/train/mine.wav' again
# An interrupted run's files are known.
rm -r again
"$bin/voxloop-demo-corpus" --quiet "${small[@]}" --out again &
until [ "$(ls again/train 2>/dev/null | wc -l)" -ge 2 ] || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
kill -KILL $! 2>/dev/null
wait $! 2>/dev/null
corpus --out again; same "after a killed run" again
echo "demo_corpus: fine"
