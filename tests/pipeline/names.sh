#!/bin/bash
# Recordings with whatever names files can have, through iter1 and the report: none is lost, and lists that speak of
# them as the user would are understood.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
tones plain 3000 # s0-u0.wav ... s3-u2.wav

names=(
    'New Recording 1.wav'
    ' leading blank.wav'
    $'two  blanks Ame\xcc\x81lie.wav' # decomposed; the lists below spell it composed, too
    $'tab\there.wav'
    "it's \"quoted\".wav"
    'a&b <script>alert(1)<script>.wav'
    $'line\nbreak.wav'
    '-rf --help.wav'
    $'e\xcc\x81te\xcc\x81.wav' # decomposed
    $'\xc3\xa9t\xc3\xa9.wav'   # composed: another file
    $'latin\xe9.wav'           # not UTF-8
    "$(printf 'long%.0s' {1..60}) 100% #1.wav"
)
# nasty FOLDER: the twelve recordings, each under a name of its own kind.
nasty() {
    local i=0
    mkdir "$1"
    for name in "${names[@]}"; do
        cp "plain/s$((i / 3))-u$((i % 3)).wav" "$1/$name"
        i=$((i + 1))
    done
}
nasty train
nasty test
i=0
for name in "${names[@]}"; do
    case $name in
    *$'\n'*) printf 'line%%0Abreak.wav speaker%d\n' $((i / 3)) ;; # a line cannot hold it: its id
    *) printf '%s speaker%d\n' "$name" $((i / 3)) ;;
    esac
    i=$((i + 1))
done >truth
i=0
while IFS= read -r enrol; do
    j=0
    while IFS= read -r test; do
        [ $j -le $i ] || echo "$((i / 3 == j / 3)) $enrol $test"
        j=$((j + 1))
    done < <(LC_ALL=C sed 's/ speaker.$//' truth)
    i=$((i + 1))
done < <(LC_ALL=C sed 's/ speaker.$//' truth) >trials

run() { pipeline PRESET=smoke DATA=train TEST=test TRUTH=truth TRIALS=trials WORK=work "$@"; }
run iter1 >log 2>&1 || { cat log >&2; fail "iter1 did not finish"; }
[ "$(sed 1d work/audio/utts.tsv | wc -l)" = 12 ] || { cat work/audio/rejects.tsv >&2; fail "recordings are lost"; }
[ "$(grep -c '12 of 12 utterances have labels' log)" = 1 ] || { cat log >&2; fail "labels are lost"; }
grep -q 'trials: 12 target, 54 nontarget; form voxceleb' log || { cat log >&2; fail "trials are lost"; }
grep -qE '^iter1: .*purity .*EER ' log || { cat log >&2; fail "no line with purity and EER"; }
[ "$(wc -l <work/iter1/scores.txt)" = 66 ] || fail "scores.txt has $(wc -l <work/iter1/scores.txt) lines"
awk 'NF != 4 { exit 1 }' work/iter1/scores.txt || fail "scores.txt has other than four columns"
tar --zstd -xOf work/iter1/labels.tar.zst utt2spk | awk 'NF != 2 { exit 1 } END { exit NR != 12 }' || fail "utt2spk has other than two columns"

# Ids hold no blank, no control character and no bad UTF-8; names.tsv has those that were renamed.
LC_ALL=C sed 1d work/audio/utts.tsv | cut -f 1 >ids
LC_ALL=C grep -nP '[\x00-\x20\x7f"]' ids >&2 && fail "ids with blanks or control characters"
iconv -f UTF-8 -t UTF-8 ids >/dev/null || fail "ids are not UTF-8"
grep -qxF 'New%20Recording%201.wav' ids && grep -qxF '%20leading%20blank.wav' ids && grep -qxF 'latin%E9.wav' ids || { cat ids >&2; fail "other ids"; }
[ "$(sed 1d work/audio/names.tsv | wc -l)" = 10 ] || { cat work/audio/names.tsv >&2; fail "names.tsv does not have the ten that were renamed"; }
grep -qxF $'line%0Abreak.wav\tline\\nbreak.wav' work/audio/names.tsv || fail "names.tsv shows no line break"

run report >log 2>&1 || { cat log >&2; fail "report did not finish"; }
grep -q 'New%20Recording%201.wav' work/report.html || fail "the page has no such utterance"
! grep -q '<script' work/report.html || fail "a name became markup"
iconv -f UTF-8 -t UTF-8 work/report.html >/dev/null || fail "the page is not UTF-8"

# The same lists in other forms.
retry() {
    run iter1 "$@" CHANGE=TRUTH,TRIALS >log 2>&1 || { cat log >&2; fail "$*"; }
    grep -qE '^iter1: .*purity .*EER ' log || { cat log >&2; fail "$*: no line with purity and EER"; }
}
LC_ALL=C sed -E $'s/e\xcc\x81lie/\xc3\xa9lie/' truth >composed
cmp -s truth composed && fail "the composed list is the other one"
retry TRUTH=composed
LC_ALL=C sed -E 's/^(.*) (speaker.)$/\2 \1/' truth >turned
retry TRUTH=turned
{ echo File,Speaker; LC_ALL=C sed -E 's/"/""/g; s/^(.*) (speaker.)$/"\1",\2/' truth; } >csv
retry TRUTH=csv
LC_ALL=C sed 's/$/ 1.5/' truth >third
expect 2 'third:1: a third column' run iter1 TRUTH=third CHANGE=TRUTH
echo "names: fine"
