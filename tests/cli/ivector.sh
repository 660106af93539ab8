#!/bin/bash
# voxloop-ivector on a few made recordings: SIGKILL, then the same command, ends with the bytes of an undisturbed run;
# voxloop-extract reads the extractor; what cannot be trained on is one clear line.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1

tones recordings 4000
"$bin/voxloop-prepare" --quiet --audio recordings --out audio || fail "prepare failed"

ivector() {
    "$bin/voxloop-ivector" --audio audio --gaussians 8 --ivector-dim 4 --ceps 5 --deltas 1 --tv-iterations 20 --threads 2 "$@"
}
ivector --out whole/m.safetensors 2>log || { cat log >&2; fail "ivector failed"; }
[ ! -e whole/m.safetensors.resume ] || fail "the resume file stays"
perl -ne 'if (/(mixture, (?:diagonal|full)|total variability).*log-likelihood (\S+)/) { die "$_ falls" if ($last{$1} // -1e9) > $2 + 1e-3; $last{$1} = $2; $n++ } END { die "$n lines" if $n != 34 }' log ||
    fail "$(cat log)"
rm log # of the run before: it has the line that is waited for
ivector --out broken/m.safetensors >/dev/null 2>log &
tries=0
until grep -qs "total variability, iteration 1 " log || [ $((tries += 1)) -gt 1000 ]; do sleep 0.01; done
pkill -KILL -P $! 2>/dev/null || kill -KILL $! 2>/dev/null
wait $! 2>/dev/null
[ -e broken/m.safetensors ] || {
    ivector --out broken/m.safetensors 2>log || { cat log >&2; fail "ivector did not go on"; }
    grep -q "goes on after iteration" log || fail "ivector started afresh: $(cat log)"
}
cmp whole/m.safetensors broken/m.safetensors || fail "ivector after SIGKILL gave other bytes"

extract() { "$bin/voxloop-extract" --quiet --audio audio --model whole/m.safetensors "$@"; }
extract --out a.npy --format npy && extract --out b.npy --format npy --batch 1 || fail "extract failed"
cmp a.npy b.npy || fail "i-vectors depend on the batch"
perl -e 'local $/; open my $f, "<:raw", "a.npy"; my @x = unpack "f<*", substr(<$f>, 128); $s += $_ ** 2 for @x; die "$s" if abs($s - 12) > 1e-4' ||
    fail "i-vectors are not of length 1"
sed 1d audio/utts.tsv | cut -f 1 | awk '{split($1, part, "-"); print $1, part[1]}' >utt2spk
expect_one_line 1 "whole/m.safetensors: an encoder ivector cannot be fine-tuned" "$bin/voxloop-finetune" --quiet --audio audio \
    --labels utt2spk --out bad.safetensors --init whole/m.safetensors
expect_one_line 1 "frames of speech; 4096 Gaussians need at least 8192" "$bin/voxloop-ivector" --quiet --audio audio \
    --gaussians 4096 --ceps 5 --out bad.safetensors
[ ! -e bad.safetensors ] || fail "a model was written"
echo "ivector: fine"
