#!/bin/bash
# voxloop-evaluate: metrics lines, score file, eval.json; trials that name unknown utterances.
set -u
bin=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

# Four rows by hand: a/1 and a/2 at 0 and 10 degrees, b/1 and b/2 at 90 and 80.
perl -e '
    my $head = "{\x27descr\x27: \x27<f4\x27, \x27fortran_order\x27: False, \x27shape\x27: (4, 2), }";
    $head .= " " x (117 - length $head) . "\n";
    print "\x93NUMPY\x01\x00", pack("v", length $head), $head;
    print pack("f<2", 3 * cos($_ * 3.14159265 / 180), 3 * sin($_ * 3.14159265 / 180)) for 0, 10, 90, 80;' >x.npy
printf '%s\n' a/1 a/2 b/1 b/2 >x.utts.txt
printf '%s\n' '1 a/1 a/2' '1 b/1 b/2' '0 a/1 b/1' '0 a/2 b/2' >voxceleb
printf '%s\n' 'a/1 a/2 target' 'b/1 b/2 target' 'a/1 b/1 nontarget' 'a/2 b/2 nontarget' >kaldi

evaluate() { "$bin/voxloop-evaluate" --embeddings x.npy --scores scores --report eval.json "$@" >lines 2>log; }
refuses() {
    local status=$1 text=$2
    shift 2
    evaluate "$@"
    local got=$?
    [ $got = "$status" ] || fail "$*: exit $got, expected $status"
    grep -qF -- "$text" log || { fail "$*: no \"$text\" in:"; cat log; }
}

for form in voxceleb kaldi; do
    evaluate --trials $form || { fail $form; cat log; }
    grep -q "form $form" log || fail "$form is not reported"
    diff scores - <<'END' || fail "$form: scores"
a/1 a/2 0.984808 target
b/1 b/2 0.984808 target
a/1 b/1 0.000000 nontarget
a/2 b/2 0.342020 nontarget
END
    diff lines - <<'END' || fail "$form: lines"
---- scores -----
EER = 0.000
EER for other speakers (95 % interval) = 0.000 to 0.000
minDCF (p_target:0.01 c_miss:1 c_fa:1) = 0.000
minDCF (p_target:0.05 c_miss:1 c_fa:1) = 0.000
END
done
for key in eer min_dcf_p01 min_dcf_p05 n_target n_nontarget statistics_baseline_eer label_free det; do
    grep -q "\"$key\":" eval.json || fail "eval.json has no $key"
done

evaluate --label-free --session folder || fail "label-free"
grep -q '"label_free":[[:space:]]*true' eval.json || fail "label_free is not true"
grep -q '"session":[[:space:]]*"folder"' eval.json || fail "the session is not kept"
grep -q '^label-free: same session against different sessions (session: folder)$' lines || fail "label-free trials are not named as such"
grep -q 'sessions by folder: 2 among 4 utterances' log || { fail "the sessions are not shown"; cat log; }
cp scores by-folder
evaluate --label-free --session '^(.)/' || { fail "sessions by a pattern"; cat log; }
cmp -s scores by-folder || fail "a pattern for the first folder is not the folder"
evaluate --label-free --session '(1)' || { fail "a pattern that some ids lack"; cat log; }
grep -q '2 ids do not match the session pattern' log || fail "no word about ids without a session"
refuses 1 'session `(x+)` is found in none of the 4 ids; the first is a/1' --label-free --session '(x+)'
refuses 2 'session `a(b`: ' --label-free --session 'a(b'
refuses 2 'has no group' --label-free --session '^a'
# Of files that nobody said to be one session, only halves are one.
printf '%s\n' a/p#1 a/p#2 b/q#1 b/q#2 >halves
evaluate --label-free --list halves || { fail "label-free by file"; cat log; }
grep -q '"session":[[:space:]]*"file"' eval.json || fail "the default session is not kept"
awk '{ same = substr($1, 1, 3) == substr($2, 1, 3); if (same != ($4 == "target")) exit 1 }' scores || fail "other pairs than halves are one session"
printf '%s\n' p q r s >flat
evaluate --label-free --list flat || { fail "label-free without folders"; cat log; }
grep -q '"eer":[[:space:]]*null' eval.json || fail "an EER without trials"
grep -q 'there are no label-free trials' log || fail "no word about missing label-free trials"

# Rows of length 3 taken for the crops' means: half the cosine and half of 9 times it.
evaluate --trials voxceleb --crop-embeddings x.npy || { fail "--crop-embeddings"; cat log; }
grep -q '^a/1 a/2 4.924039 target$' scores || { fail "scores with crops"; cat scores; }
refuses 2 'goes without --center and --norm' --trials voxceleb --crop-embeddings x.npy --center

# Every score right: a calibration can still be made, and says that it knows too little.
evaluate --trials voxceleb --calibrate cal.json || { fail "--calibrate"; cat log; }
grep -q 'Cllr = 0.* calibrated on these very trials' lines || fail "Cllr is not printed as optimistic"
grep -q 'on the wrong side' log || fail "no word about separable scores"
cp scores learnt
evaluate --trials kaldi --calibration cal.json || { fail "--calibration"; cat log; }
cmp -s scores learnt || fail "a calibration gives other scores than when it was learnt"
grep -q 'very trials' lines && fail "another calibration is called optimistic"
refuses 2 '--calibrate and --calibration exclude each other' --trials kaldi --calibrate a --calibration cal.json
echo '{"scale": -1, "offset": 0}' >negative.json
refuses 1 'negative.json is no calibration' --trials kaldi --calibration negative.json
printf '%s\n' '0 a/1 a/2' '0 b/1 b/2' '1 a/1 b/1' '1 a/2 b/2' >upside-down
refuses 1 'do not score higher' --trials upside-down --calibrate b.json
[ ! -e b.json ] || fail "a failed calibration was written"

evaluate --trials voxceleb --norm as-norm --cohort x.npy --top 2 || { fail "as-norm"; cat log; }
grep -q '"norm":[[:space:]]*"as-norm"' eval.json || fail "eval.json does not name the normalisation"
grep -q '0.984808' scores && fail "as-norm leaves cosines"
evaluate --trials voxceleb --norm s-norm --cohort x.npy --center || { fail "s-norm"; cat log; }
refuses 2 'belong together' --trials voxceleb --norm as-norm
refuses 2 'belong together' --trials voxceleb --cohort x.npy

# The mean is that of the rows that trials name: here of a/1, a/2 and b/1, however long they are.
printf '%s\n' '1 a/1 a/2' '0 a/1 b/1' >three
perl -0777 -pe 's/(.{8})(.{8})(.{8})(.{8})\z/join "", map { my $k = $_; map { pack "f<", $_ * $k } unpack "f<2", ($1, $2, $3, $4)[$k - 1] } 1 .. 4/se' \
    x.npy >lengths.npy
cp x.utts.txt lengths.utts.txt
evaluate --trials three --center --embeddings lengths.npy || { fail "--center"; cat log; }
diff scores - <<'END' || fail "--center: scores"
a/1 a/2 0.965045 target
a/1 b/1 -0.993530 nontarget
END
# By folder: a/1 and a/2 lie on either side of their mean, as b/1 and b/2 do.
evaluate --trials voxceleb --domains-by-folder || { fail "--domains-by-folder"; cat log; }
diff scores - <<'END' || fail "--domains-by-folder: scores"
a/1 a/2 -1.000000 target
b/1 b/2 -1.000000 target
a/1 b/1 -0.173648 nontarget
a/2 b/2 -0.173648 nontarget
END
tr -d '[:space:]' <eval.json | grep -q '"a":{"eer":null,"n_target":1,"n_nontarget":0}' || fail "domain a in eval.json"
# All of one domain, by a list: as --center, and the domain's EER is that of all.
printf '%s\n' 'a/1 d' 'a/2 d' 'b/1 d' 'b/2 d' >one-domain
evaluate --trials voxceleb --center && cp scores centred
evaluate --trials voxceleb --domains one-domain || { fail "--domains"; cat log; }
cmp -s scores centred || fail "one domain is not what --center is"
grep -q '^EER within d = 0.000$' lines || { fail "no EER of the domain"; cat lines; }
head -3 one-domain >three-utts
refuses 1 'three-utts lacks 1 of 4 utterances: b/2' --trials voxceleb --domains three-utts
refuses 2 '--domains goes without --center' --trials voxceleb --domains-by-folder --center
refuses 2 'exclude each other' --trials voxceleb --domains-by-folder --domains one-domain

rm -f scores eval.json
printf '%s\n' '1 a/1 u1' '0 u2 u3' >unknown
refuses 1 '1 unknown on the enrolment side: u2; 2 unknown on the test side: u1 u3' --trials unknown
printf '%s\n' '1 a/1 a/2' 'x a/1 b/1' >garbled
refuses 1 'garbled:2: `x` is no trial label' --trials garbled
printf '%s\n' '1 a/1 a/2' >targets
refuses 1 '1 target and 0 nontarget' --trials targets
: >empty
refuses 1 'empty has 0 target' --trials empty
refuses 1 nowhere --trials nowhere
refuses 2 'either --trials FILE or --label-free'
refuses 2 'either --trials FILE or --label-free' --trials kaldi --label-free
refuses 1 nowhere --trials kaldi --audio nowhere
[ -e scores ] || [ -e eval.json ] && fail "a failed run left its outputs"
exit $((failures > 0))
