#!/bin/bash
# voxloop-report joins only rounds that come from each other, by the records of what each was made from: what was made
# again in between, or elsewhere, stands apart, with the reason.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
options="--config $source_folder/pipelines/smoke.ini --threads 2 --quiet"
tones audio 3000
"$bin/voxloop-prepare" $options --audio audio --out prepared || fail "prepare"
run() { local program=$1; shift; "$bin/voxloop-$program" $options "$@" >/dev/null || fail "$program $*"; }
# rest ROUND CLUSTERS: what follows the training of a round.
rest() {
    run extract --audio prepared --model "work/$1/model.safetensors" --out "work/$1/embeddings.tar.zst"
    run cluster --clusters "$2" --embeddings "work/$1/embeddings.tar.zst" --out "work/$1/labels.tar.zst" --report "work/$1/clusters.json"
    run extract --audio prepared --model "work/$1/model.safetensors" --halves 100 --out "work/$1/halves.tar.zst"
    run evaluate --label-free --embeddings "work/$1/halves.tar.zst" --scores "work/$1/scores.txt" --report "work/$1/eval.json"
}
mkdir -p work/iter{0,1,2,1-lmft}
run ivector --audio prepared --out work/iter0/model.safetensors
rest iter0 4
run finetune --audio prepared --labels work/iter0/labels.tar.zst --out work/iter1/model.safetensors
rest iter1 4
run finetune --audio prepared --labels work/iter0/labels.tar.zst --init work/iter1/model.safetensors --keep-classes --out work/iter1-lmft/model.safetensors
rest iter1-lmft 4
run finetune --audio prepared --labels work/iter1/labels.tar.zst --out work/iter2/model.safetensors
rest iter2 4

page() { "$bin/voxloop-report" --work work --out page.html 2>log || { cat log >&2; fail "report"; }; }
tables() { grep -c '<tr class="groups">' page.html; }
# The blue line of the EER figure: one stroke for each round that comes from another.
strokes() { sed -n '/Equal error rate per round/,/<\/figure>/p' page.html | grep -c '<path d="M[^"]*" fill="none" stroke="#0072B2"'; }
from() { grep -o "<tr><th>$1</th><td class=\"text\">[^<]*" page.html | sed 's/.*>//'; }

page
[ "$(tables)" = 1 ] || fail "one family in $(tables) tables"
[ "$(from iter0),$(from iter1),$(from iter1-lmft),$(from iter2)" = ",iter0,iter1,iter1" ] || fail "from: $(from iter1), $(from iter1-lmft), $(from iter2)"
[ "$(strokes)" = 4 ] || fail "$(strokes) strokes, with the legend's, for three descents"
grep -q 'warning' log && { cat log >&2; fail "a whole family is warned about"; }
"$bin/voxloop-report" --quiet --work work --table 'iter*' >/dev/null || fail "the mean of a family"

# Renamed folders and copies change nothing.
cp -r work copy
"$bin/voxloop-report" --quiet --work copy --out copy.html || fail "report of a copy"
[ "$(grep -c '<tr class="groups">' copy.html)" = 1 ] || fail "a copy is no family"

# The labels that iter2 learnt from are made again, and are others.
run cluster --clusters 3 --embeddings work/iter1/embeddings.tar.zst --out work/iter1/labels.tar.zst --report work/iter1/clusters.json
page
[ "$(tables)" = 2 ] || fail "$(tables) tables where iter2 stands apart"
[ "$(from iter2)" = "" ] || fail "iter2 from $(from iter2)"
[ "$(strokes)" = 3 ] || fail "$(strokes) strokes, with the legend's, for two descents"
grep -q 'iter2: trained on other labels than iter1 has now' page.html || fail "the page does not say why"
grep -q 'iter2 is not joined with other rounds: trained on other labels than iter1 has now' log || { cat log >&2; fail "the log does not say why"; }
expect_one_line 1 'iter.: iter1 and iter2 do not come from each other, and have no mean .iter2: trained on other labels' \
    "$bin/voxloop-report" --quiet --work work --table 'iter?'

# A model that is newer than what is there of its round.
run finetune --seed 7 --audio prepared --labels work/iter0/labels.tar.zst --out work/iter1/model.safetensors
page
grep -q 'warning: iter1: its embeddings are of another model than it has now' log || { cat log >&2; fail "no word about old embeddings"; }

# Other trials: points, but no line.
run evaluate --label-free --session folder --embeddings work/iter1/halves.tar.zst --scores work/iter1/scores.txt --report work/iter1/eval.json 2>/dev/null
run evaluate --label-free --label-free-pairs 5 --embeddings work/iter1-lmft/halves.tar.zst --scores work/iter1-lmft/scores.txt --report work/iter1-lmft/eval.json
page
[ "$(strokes)" = 1 ] || fail "$(strokes) strokes where only the legend's should be"
echo "report_descent: fine"
