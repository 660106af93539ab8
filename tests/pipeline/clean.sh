#!/bin/bash
# `make clean` removes what the loop made in WORK and nothing else; a WORK in whose places somebody has put
# something is refused before anything starts.
source "$(dirname "$0")/../support/shell.sh"
needs espeak-ng
cd "$scratch" || exit 1
tones recordings 300
run() { pipeline "$@" PRESET=smoke INIT=ivector; }
content() { (cd "$1" && find . -printf '%P %y %s %l\n' | LC_ALL=C sort); }

# refused PLACE ARGUMENT...: one line that names the place, and nothing changes.
refused() {
    content . >"$scratch/before"
    expect 2 "$1" run iter1 "${@:2}"
    expect 2 "$1" run -n iter1 "${@:2}"
    content . | grep -v '^output ' >"$scratch/after"
    diff <(grep -v -e '^output ' -e '^before ' -e '^after ' before) <(grep -v -e '^before ' -e '^after ' after) >&2 || fail "a refused call changed something: $*"
}

# ---- what is not the loop's --------------------------------------------------------------------------------------

mkdir proj && cp -r recordings proj/audio
refused 'DATA=proj/audio lies in proj/audio, which the loop writes' DATA=proj/audio WORK=proj
refused 'proj/audio is there and the loop has not made it' DATA=recordings WORK=proj
mkdir linked && ln -s ../recordings linked/audio
refused 'linked/audio' DATA=recordings WORK=linked
refused 'linked/audio' DATA="$PWD/recordings" WORK="$PWD/linked/"
for place in test demo iter0 iter1 warmup wavlm.safetensors; do
    mkdir -p "with-$place/$place" && cp recordings/s0-u0.wav "with-$place/$place/"
done
refused 'with-test/test' DATA=recordings TEST=recordings WORK=with-test
refused 'with-demo/demo' WORK=with-demo
refused 'with-iter0/iter0' DATA=recordings WORK=with-iter0
refused 'with-iter1/iter1' DATA=recordings WORK=with-iter1
refused 'with-warmup/warmup' DATA=recordings WARMUP=masked WORK=with-warmup
refused 'with-wavlm.safetensors/wavlm.safetensors' DATA=recordings WAVLM=recordings WORK=with-wavlm.safetensors
refused 'DATA=recordings holds WORK' DATA=recordings WORK=recordings/work
refused 'DATA=recordings holds WORK' DATA=recordings WORK=recordings
refused 'TEST=. holds WORK' DATA=recordings TEST=. WORK=work
ln -s nowhere dangling
refused 'WORK=dangling' DATA=recordings WORK=dangling
echo text >file
refused 'WORK=file: this is a file' DATA=recordings WORK=file
mkdir report && echo mine >report/report.html
expect 2 'clean|nothing' run clean WORK=proj
expect 2 'made nothing there' run clean WORK=nowhere
expect 2 'made nothing there' run report WORK=nowhere
[ ! -e nowhere ] || fail "a goal that reads made WORK"

# A folder in which nothing stands in the way is as good as a new one, and an empty place is nobody's.
mkdir -p free/sub free/audio && cp -r recordings free/sub/mine && echo notes >free/notes.txt
content free >before
run iter1 DATA=free/sub/mine WORK=free >log 2>&1 || { cat log >&2; fail "a loop beside its recordings failed"; }
run ablation WORK=free >log 2>&1 || { cat log >&2; fail "ablation failed"; }
run compare WORK=free METHODS=teacher >log 2>&1 || { cat log >&2; fail "compare failed"; }
run report WORK=free >log 2>&1 || { cat log >&2; fail "report failed"; }

# ---- clean -------------------------------------------------------------------------------------------------------

# What a user may have put beside ours stays, with the folders that it needs.
echo mine >free/iter1/notes.txt
cp recordings/s0-u0.wav free/audio/
mkdir free/iter1/plots free/iter7 && echo mine >free/iter1/plots/a.svg && echo mine >free/iter7/model.safetensors
cp -r free kept
run -n clean WORK=kept >commands 2>&1 || fail "make -n clean failed"
diff -r free kept >&2 || fail "make -n clean did something"
run clean WORK=free >log 2>&1 || { cat log >&2; fail "clean failed"; }
{
    cat before
    printf '%s\n' 'audio/s0-u0.wav f 48044 ' 'iter1 d 4096 ' 'iter1/notes.txt f 5 ' 'iter1/plots d 4096 ' 'iter1/plots/a.svg f 5 ' \
        'iter7 d 4096 ' 'iter7/model.safetensors f 5 '
} | sed 's/ d [0-9]* / d /' | LC_ALL=C sort >wanted
content free | sed 's/ d [0-9]* / d /' | diff wanted - >&2 || fail "clean removed or left the wrong files"
(cd kept && grep -v '^rm -f -- ' ../commands) && fail "make -n clean prints something else than rm"
bash commands && rm -f kept/.lock
(cd kept && find . -type f | LC_ALL=C sort) | diff <(cd free && find . -type f | LC_ALL=C sort) - >&2 || fail "make -n clean's commands do something else"

# The demo corpus and an interrupted one go whole.
pipeline iter0 PRESET=smoke INIT=ivector WORK=demo >log 2>&1 || { cat log >&2; fail "the demo failed"; }
pipeline clean WORK=demo >log 2>&1 || fail "clean of the demo failed"
[ ! -e demo ] || { find demo >&2; fail "clean leaves something of the demo"; }

# A link in the place of a folder: what it leads to is never entered.
run iter0 DATA=recordings WORK=away >log 2>&1 || { cat log >&2; fail "iter0 failed"; }
mv away/audio elsewhere && ln -s ../elsewhere away/audio
run clean WORK=away >log 2>&1 || { cat log >&2; fail "clean through a link failed"; }
[ -e elsewhere/utts.tsv ] || fail "clean followed a link"
echo "clean: fine"
