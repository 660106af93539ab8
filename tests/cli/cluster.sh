#!/bin/bash
# voxloop-cluster: what it writes, that labels keep their names, and one clear line for bad input.
set -u
bin=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

# rows FILE N DIM: a float32 .npy of N rows around N/6 directions; utts.txt and truth beside it.
rows() {
    perl -e '
        my ($file, $n, $dim) = @ARGV;
        srand(7);
        my $head = "{\x27descr\x27: \x27<f4\x27, \x27fortran_order\x27: False, \x27shape\x27: ($n, $dim), }";
        $head .= " " x (117 - length $head) . "\n";
        open my $out, ">:raw", $file or die;
        print $out "\x93NUMPY\x01\x00", pack("v", length $head), $head;
        my @voice;
        for my $i (0 .. $n - 1) {
            @voice = map { rand(2) - 1 } 1 .. $dim if $i % 6 == 0;
            print $out pack("f<*", map { $_ + 0.1 * (rand(2) - 1) } @voice);
        }' "$1" "$2" "$3"
}
rows x.npy 120 16
for i in $(seq 0 119); do printf 's%02d/u%03d.wav\n' $((i / 6)) "$i"; done >utts.txt
awk -F/ '{print $0, $1}' utts.txt >truth

cluster() { "$bin/voxloop-cluster" --embeddings x.npy --out labels.tar.zst --report clusters.json "$@" 2>log; }
# refuses STATUS TEXT ARGUMENTS...
refuses() {
    local status=$1 text=$2
    shift 2
    cluster "$@"
    local got=$?
    [ $got = "$status" ] || fail "$*: exit $got, expected $status"
    grep -qF -- "$text" log || { fail "$*: no \"$text\" in:"; cat log; }
}

cluster --truth truth --clusters auto || { fail "auto"; cat log; }
for key in clusters singletons silhouette agreement_nmi agreement_ari purity nmi ari v_measure pairwise_f1 sweep; do
    grep -q "\"$key\":" clusters.json || fail "clusters.json has no $key"
done
grep -q '"clusters":[[:space:]]*20,' clusters.json || { fail "auto did not find 20 clusters"; cat log; }
[ "$(tar --zstd -xOf labels.tar.zst utt2spk | wc -l)" = 120 ] || fail "utt2spk has not one line per utterance"
tar --zstd -tf labels.tar.zst >members
for member in utt2spk centroids.npy merges.npy; do grep -qx $member members || fail "no $member"; done

cp labels.tar.zst first.tar.zst
cluster --clusters 20 --linkage average --previous first.tar.zst || fail "second round"
cmp <(tar --zstd -xOf first.tar.zst utt2spk) <(tar --zstd -xOf labels.tar.zst utt2spk) || fail "labels were renamed"
grep -q '"agreement_nmi":[[:space:]]*1,' clusters.json || fail "no full agreement with itself"
cluster --clusters 20 --centroids 60 --weighted || fail "through centroids"
cluster --linkage average --threshold-similarity 0.7 || fail "by similarity"

# 25 clusters of 20 speakers with 6 utterances each: those that were split are dropped, with their utterances.
cluster --clusters 25 --min-size 6 --truth truth || { fail "--min-size"; cat log; }
number() { grep -o "\"$1\":[[:space:]]*[0-9]*" clusters.json | head -1 | grep -o '[0-9]*$'; }
kept=$(tar --zstd -xOf labels.tar.zst utt2spk | wc -l)
[ "$kept" -ge 90 ] && [ "$kept" = $((6 * $(number clusters))) ] && [ $((kept + $(number dropped_utterances))) = 120 ] ||
    { fail "$kept labels with --min-size 6"; cat clusters.json; }
[ $(($(number clusters) + $(number dropped_clusters))) = 25 ] || fail "not all dropped clusters are counted"
grep -q '"purity":[[:space:]]*1,' clusters.json || fail "what is left is not pure"
cp labels.tar.zst large.tar.zst
cluster --clusters 20 --previous large.tar.zst || { fail "a round after --min-size"; cat log; }
refuses 1 'no cluster has 100 utterances' --clusters 20 --min-size 100

rm -f labels.tar.zst clusters.json
refuses 1 'cannot be made from 120 different points' --clusters 121
refuses 2 '--clusters is a count or' --clusters many
refuses 2 'needs --linkage average' --linkage ward --threshold-similarity 0.5
head -110 truth >short
cluster --truth short || fail "a truth that speaks of some was refused"
grep -q 'it covers 110 of 120 utterances' log || { cat log >&2; fail "what a short truth covers is not said"; }
rm labels.tar.zst* clusters.json*
{ cat truth; head -1 truth; } >double
refuses 1 's00/u000.wav' --truth double
refuses 1 nowhere --truth nowhere
refuses 1 nowhere --previous nowhere
refuses 1 'utts.txt is text' --embeddings utts.txt
rows x.npy 1 16
head -1 utts.txt >one
refuses 1 'at least 2' --list one
refuses 1 'utts.txt'
rows x.npy 120 16
printf '\0\0\300\177' | dd of=x.npy bs=1 seek=192 conv=notrunc 2>/dev/null
refuses 1 's00/u001.wav holds a NaN'
[ -e labels.tar.zst ] || [ -e clusters.json ] && fail "a failed run left its outputs"
exit $((failures > 0))
