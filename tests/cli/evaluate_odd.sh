#!/bin/bash
# voxloop-evaluate where there is little to measure: cohorts that tell nothing, scores that are all the same or part the
# trials completely, one kind of trials; each the right value or one sentence. And options that contradict each other.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1

# rows FILE LIST PERL: a float32 .npy of rows of three numbers, and their names in LIST
rows() {
    perl -e '
        my ($file, $list, $code) = @ARGV;
        srand(5);
        my @rows = eval $code;
        die $@ if $@;
        my $n = @rows;
        my $head = "{\x27descr\x27: \x27<f4\x27, \x27fortran_order\x27: False, \x27shape\x27: ($n, 3), }";
        $head .= " " x (117 - length $head) . "\n";
        open my $out, ">:raw", $file or die;
        print $out "\x93NUMPY\x01\x00", pack("v", length $head), $head, map { pack("f<*", @$_) } @rows;
        open my $names, ">", $list or die;
        printf $names "u%d\n", $_ for 0 .. $n - 1;' "$1" "$2" "$3" || fail "no rows: $3"
}
mkdir cohort
rows x.npy x.utts.txt '[1, 0.1, 0], [1, 0, 0.1], [0, 1, 0.1], [0.1, 1, 0]'
printf '%s\n' '1 u0 u1' '1 u2 u3' '0 u0 u2' '0 u1 u3' >trials
evaluate() { "$bin/voxloop-evaluate" --embeddings x.npy --trials trials --scores s.txt --report e.json "$@"; }
as_norm() { evaluate --norm as-norm --cohort cohort/c.npy "$@" >out 2>log || { cat log >&2; fail "as-norm $*"; }; }
warns() { grep -qE "$1" log || { cat log >&2; fail "no warning: $1"; }; }
norm() { grep -o '"norm":[[:space:]]*"[a-z-]*"' e.json | grep -o '[a-z-]*"$' | tr -d '"'; }
finite() { ! grep -qiE 'nan|inf' s.txt e.json || fail "not finite: $(cat s.txt)"; }

evaluate >/dev/null 2>&1 || fail "no cosines"
cp s.txt cosines
for cohort in '[0.3, 0.2, 0.1]' 'map { [0.3, 0.2, 0.1] } 1 .. 9' 'map { [0, 0, $_] } 1 .. 9'; do
    rows cohort/c.npy cohort/c.utts.txt "$cohort"
    as_norm --top 4
    warns 'c.npy: against these [0-9] the scores of no embedding vary: they stay cosines'
    cmp s.txt cosines || fail "useless cohort: $(cat s.txt)"
    [ "$(norm)" = none ] || fail "eval.json: norm $(norm) of a useless cohort"
done
rows cohort/c.npy cohort/c.utts.txt 'map { [rand, rand, rand] } 1 .. 9'
as_norm --top 4
! grep -q warning log || { cat log >&2; fail "a warning about a good cohort"; }
cp s.txt of_four
as_norm
warns 'a cohort of 9 has not the 300 nearest .* all count, as in s-norm'
finite
[ "$(norm)" = as-norm ] || fail "eval.json: norm $(norm)"
evaluate --norm s-norm --cohort cohort/c.npy >/dev/null 2>&1 && grep -q . s.txt || fail "s-norm"

# u3 is at a right angle to the whole cohort: its scores do not vary.
rows x.npy x.utts.txt '[1, 0.1, 0], [1, 0.3, 0], [0.2, 1, 0], [0, 0, 1]'
rows cohort/c.npy cohort/c.utts.txt 'map { [rand, rand, 0] } 1 .. 9'
as_norm --top 4
warns 'the scores of 1 embeddings do not vary .the first is u3.; they take the others. mean deviation'
finite
awk '{ if ($3 > 100 || $3 < -100) exit 1 }' s.txt || fail "blown up: $(cat s.txt)"

# All scores the same: a coin decides. No calibration can be learnt from that.
rows x.npy x.utts.txt 'map { [1, 2, 3] } 1 .. 4'
evaluate >out 2>log || fail "equal scores"
grep -qx 'EER = 50.000' out && grep -q '^minDCF.*= 1.000' out || fail "equal scores: $(cat out)"
finite
expect_one_line 1 'do not score higher' evaluate --quiet --calibrate c.json
expect_one_line 1 'of u0 is zero or not finite' evaluate --quiet --center

# One kind of trials.
printf '%s\n' '0 u0 u1' '0 u2 u3' >trials
expect_one_line 1 '0 target and 2 nontarget' evaluate --quiet
printf '%s\n' '1 u0 u1' >trials
expect_one_line 1 '1 target and 0 nontarget' evaluate --quiet

printf '%s\n' '1 u0 u1' '0 u2 u3' >trials
expect_one_line 2 'cohort-labels' evaluate --quiet --cohort-labels trials
expect_one_line 2 'belong together' evaluate --quiet --cohort cohort/c.npy
expect_one_line 2 '--top must be 2' evaluate --quiet --norm as-norm --cohort cohort/c.npy --top 1
expect_one_line 2 'list names the rows of a .npy' evaluate --quiet --embeddings e.tar.zst --list x.utts.txt
echo "evaluate_odd: fine"
