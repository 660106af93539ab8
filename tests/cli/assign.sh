#!/bin/bash
# voxloop-assign: later embeddings go to the pseudo-speakers that are there; one clear line for what does not fit.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1

# rows FILE N DIM NOISE: a float32 .npy of N rows around N/6 directions, which are the same for every NOISE; and its list.
rows() {
    perl -e '
        my ($file, $n, $dim, $noise) = @ARGV;
        srand(7);
        my @voices = map { [map { rand(2) - 1 } 1 .. $dim] } 1 .. $n / 6;
        srand(100 * $noise);
        my $head = "{\x27descr\x27: \x27<f4\x27, \x27fortran_order\x27: False, \x27shape\x27: ($n, $dim), }";
        $head .= " " x (117 - length $head) . "\n";
        open my $out, ">:raw", $file or die;
        print $out "\x93NUMPY\x01\x00", pack("v", length $head), $head;
        print $out pack("f<*", map { $_ + 0.1 * (rand(2) - 1) } @{$voices[$_ / 6]}) for 0 .. $n - 1;' "$1" "$2" "$3" "$4"
    for i in $(seq 0 $(($2 - 1))); do printf 's%02d/u%03d.wav\n' $((i / 6)) "$i"; done >"$1.list"
}
rows train.npy 120 16 1
rows later.npy 120 16 2
rows other.npy 120 8 3
utt2spk() { tar --zstd -xOf "$1" utt2spk; }
assign() { "$bin/voxloop-assign" --quiet --embeddings "$1.npy" --list "$1.npy.list" --labels labels.tar.zst --out "$1.tar.zst" --report "$1.json" "${@:2}"; }

"$bin/voxloop-cluster" --quiet --embeddings train.npy --list train.npy.list --clusters 20 --out labels.tar.zst --report clusters.json || fail "cluster"
assign train || fail "assign"
utt2spk train.tar.zst | diff <(utt2spk labels.tar.zst) - >&2 || fail "the clustered utterances go elsewhere"
assign later || fail "assign"
utt2spk later.tar.zst | diff <(utt2spk labels.tar.zst) - >&2 || fail "later utterances of the same voices go elsewhere"
grep -q '"clusters_used":[[:space:]]*20' later.json || { cat later.json >&2; fail "not all clusters are used"; }
cp later.tar.zst before
assign later --if-changed && cmp -s before later.tar.zst || fail "the same again"

expect_one_line 1 'other.npy has embeddings of 8 dimensions, the clusters are of 16' assign other
expect_one_line 1 'train.npy' "$bin/voxloop-assign" --quiet --embeddings later.npy --list later.npy.list --labels train.npy --out o.tar.zst --report o.json
head -n 12 later.npy.list >few.list
rows few.npy 12 16 4
assign few || fail "assign of a few"
cp few.tar.zst labels.tar.zst
expect_one_line 1 'has 2 pseudo-speakers and 20 centroids; it takes a shard of voxloop-cluster' assign later
[ ! -e o.tar.zst ] && [ ! -e other.tar.zst ] || fail "what does not fit was published"
echo "assign: fine"
