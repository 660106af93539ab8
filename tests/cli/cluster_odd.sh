#!/bin/bash
# voxloop-cluster on embeddings that are copies of each other, too few, too alike, huge or tiny: the right answer or one
# sentence, never equal ones in different clusters; and options that contradict each other.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1

# rows FILE DIM PERL: a float32 .npy of the rows that the expression gives, each a reference to DIM numbers; beside it
# x.utts.txt with u000, u001 ...
rows() {
    perl -e '
        my ($file, $dim, $code) = @ARGV;
        srand(11);
        my @voice = map { [map { rand(2) - 1 } 1 .. $dim] } 0 .. 99;
        my @rows = eval $code;
        die $@ if $@;
        my $n = @rows;
        my $head = "{\x27descr\x27: \x27<f4\x27, \x27fortran_order\x27: False, \x27shape\x27: ($n, $dim), }";
        $head .= " " x (117 - length $head) . "\n";
        open my $out, ">:raw", $file or die;
        print $out "\x93NUMPY\x01\x00", pack("v", length $head), $head, map { pack("f<*", @$_) } @rows;
        open my $list, ">", "x.utts.txt" or die;
        printf $list "u%03d\n", $_ for 0 .. $n - 1;' "$1" "$2" "$3" || fail "no rows: $3"
}
cluster() { "$bin/voxloop-cluster" --embeddings x.npy --out l.tar.zst --report c.json "$@"; }
label_count() { tar --zstd -xOf l.tar.zst utt2spk | sed -n "$1" | cut -d ' ' -f 2 | cut -f 2 | sort -u | wc -l; } # SED-RANGE
value() { grep -o "\"$1\":[[:space:]]*[-0-9.e]*" c.json | head -1 | sed 's/.*[: \t]//'; }
finds() { # WHAT CLUSTERS ARGUMENTS...: clusters in all
    local what=$1 wanted=$2
    shift 2
    rm -f l.tar.zst c.json
    cluster "$@" >log 2>&1 || { cat log >&2; fail "$what"; }
    [ "$wanted" = any ] || [ "$(value clusters)" = "$wanted" ] || { cat log >&2; fail "$what: $(value clusters) clusters, not $wanted"; }
    awk -v s="$(value silhouette)" 'BEGIN { exit !(s >= -1 && s <= 1) }' || fail "$what: silhouette $(value silhouette)"
    ! grep -qE 'nan|inf' c.json || fail "$what: $(cat c.json)"
}
says() { # WHAT SENTENCE ARGUMENTS...
    local what=$1 sentence=$2
    shift 2
    rm -f l.tar.zst c.json
    expect_one_line 1 "$sentence" cluster --quiet "$@"
    [ ! -e l.tar.zst ] && [ ! -e c.json ] || fail "$what left its outputs"
}

rows x.npy 32 'map { my $v = $_ < 50 ? $voice[0] : $voice[$_]; [@$v] } 0 .. 59'
for way in "" "--linkage average" "--whiten 0" "--whiten 0 --linkage average" "--center" "--centroids 8" "--centroids 8 --weighted" \
    "--clusters 11" "--clusters 5 --linkage average" "--threshold-distance 0" "--linkage average --threshold-similarity 1"; do
    finds "50 equal rows of 60 ($way)" any $way
    [ "$(label_count 1,50p)" = 1 ] || fail "50 equal rows of 60 ($way): $(label_count 1,50p) clusters of equal rows"
done
finds "each different row for itself" 11 --threshold-distance 0
says "more clusters than different rows" '12 clusters cannot be made from 11 different points' --clusters 12

# The same directions in other lengths: equal but for rounding.
rows x.npy 32 'map { my ($i, $s) = ($_, 1 + $_ / 7); [map { $s * $_ } @{$voice[$i % 6]}] } 0 .. 59'
for way in "" "--linkage average" "--whiten 0" "--threshold-distance 0" "--centroids 30"; do
    finds "six directions ($way)" 6 $way
done
says "more clusters than directions" '7 clusters cannot be made from 6 different points' --clusters 7

# Two groups, the other columns constant; more columns than rows; one direction (rank 1); huge; tiny; one huge.
two='map { my $i = $_; [map { ($i % 2 ? 1 : -1) * ($_ < 3) + 0.05 * rand() * ($_ < 3) + ($_ >= 3) } 0 .. 15] } 0 .. 39'
rows x.npy 16 "$two"
for way in "--whiten 0" "--center" "--whiten 0 --linkage average"; do finds "two groups ($way)" 2 $way; done
finds "two groups, whitened" any
rows x.npy 64 'map { my $i = $_; [map { $voice[$i % 4][$_] + 0.05 * rand() } 0 .. 63] } 0 .. 19'
finds "more columns than rows" 4
rows x.npy 16 'map { my $i = $_; [map { 1 + 1e-3 * ($i % 30) * $_ } 0 .. 15] } 0 .. 59'
finds "rank 1" any
for scale in 1e30 1e-18; do
    rows x.npy 16 "map { my \$r = \$_; [map { $scale * \$_ } @\$r] } $two"
    finds "numbers of $scale" 2 --whiten 0
done
rows x.npy 16 "my @r = $two; @{\$r[4]} = map { 1e36 * \$_ } @{\$r[4]}; @r"
finds "one huge row" 2 --whiten 0

rows x.npy 16 'map { [@{$voice[0]}] } 1 .. 30'
says "all equal" 'x.npy: all embeddings are the same; is the model trained' --whiten 0
says "all equal" 'all embeddings are the same|of u000 is zero' --center
finds "all equal, one cluster" 1 --clusters 1
finds "all equal, by distance" 1 --threshold-distance 0.1
says "all equal in two" '2 clusters cannot be made from 1 different points' --clusters 2
rows x.npy 16 'map { [@{$voice[$_]}] } 0 .. 1'
says "two rows" '2 different points are too few to choose'
finds "two rows, two clusters" 2 --clusters 2
finds "two rows, one cluster" 1 --clusters 1
rows x.npy 16 '[@{$voice[0]}]'
says "one row" 'x.npy has 1 embeddings; clustering needs at least 2'
rows x.npy 16 'map { $_ == 3 ? [(0) x 16] : [@{$voice[$_]}] } 0 .. 9'
says "a zero row" 'x.npy: the embedding of u003 is zero'
rows x.npy 16 'map { $_ == 3 ? [(1e-42) x 16] : [@{$voice[$_]}] } 0 .. 9'
says "a row of denormal numbers" 'x.npy: the embedding of u003 is zero'
rows x.npy 16 'map { $_ == 7 ? [("nan") x 16] : [@{$voice[$_]}] } 0 .. 9'
says "a row of NaN" 'x.npy: the embedding of u007 holds a NaN'

# What contradicts itself is misuse.
rows x.npy 16 'map { [@{$voice[$_]}] } 0 .. 9'
expect_one_line 2 'clusters 3 and a threshold exclude' cluster --quiet --clusters 3 --threshold-distance 1
expect_one_line 2 'clusters 3 and a threshold exclude' cluster --quiet --clusters 3 --linkage average --threshold-similarity 0.5
expect_one_line 2 'exclude each other' cluster --quiet --linkage average --threshold-similarity 0.5 --threshold-distance 1
expect_one_line 2 'center and --whiten exclude' cluster --quiet --center --whiten 10
expect_one_line 2 'threshold-distance' cluster --quiet --threshold-distance -1
expect_one_line 2 'threshold-distance' cluster --quiet --threshold-distance nan
expect_one_line 2 'list names the rows of a .npy' cluster --quiet --embeddings l.tar.zst --list x.utts.txt
finds "--clusters auto with a threshold" any --clusters auto --threshold-distance 1
echo "cluster_odd: fine"
