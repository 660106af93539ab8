#!/bin/bash
# voxloop-report on made-up WORK folders: the line that ends a round, the page, and folders it must refuse.
source "$(dirname "$0")/../support/shell.sh"
needs voxloop-report
cd "$scratch" || exit 1
report=$bin/voxloop-report

mkdir -p work/iter0 work/iter1 work/iter10
cat >work/iter0/clusters.json <<'END'
{"clusters": 51, "singletons": 3, "silhouette": 0.1, "agreement_nmi": null}
END
cat >work/iter0/eval.json <<'END'
{"eer": 15.54, "min_dcf_p01": 0.947, "statistics_baseline_eer": 13.1, "label_free": true}
END
cat >work/iter1/clusters.json <<'END'
{"clusters": 46, "singletons": 1, "purity": 0.91, "nmi": 0.94, "agreement_nmi": 0.951, "agreement_ari": 0.8}
END
cat >work/iter1/eval.json <<'END'
{"eer": 6.1, "min_dcf_p01": 0.412, "min_dcf_p05": 0.3, "statistics_baseline_eer": 13.1, "label_free": false}
END
echo '{"clusters": 40}' >work/iter10/clusters.json
mkdir work/iter1-lmft work/iter2-gate work/iter1other
echo '{"clusters": 47, "agreement_nmi": 0.97}' >work/iter1-lmft/clusters.json
echo '{"eer": 5.5}' >work/iter1-lmft/eval.json
echo '{"agreement_nmi": 0.9}' >work/iter2-gate/clusters.json
echo '{"eer": 5.5}' >work/iter1other/eval.json

# line ROUND TEXT: what --line prints on standard output, all of it.
line() {
    local printed
    printed=$("$report" --work work --line "$1" --quiet) || fail "--line $1: exit status $?"
    [ "$printed" = "$2" ] || fail "--line $1 printed: $printed"
}
line iter0 'iter0: 51 clusters, label-free EER 15.54 % (statistics baseline 13.1 %), label-free minDCF(0.01) 0.947'
line iter1 'iter1: 46 clusters, purity 0.91, NMI 0.94, agreement NMI 0.95 with iter0, EER 6.10 % (statistics baseline 13.1 %), minDCF(0.01) 0.412'
line iter10 'iter10: 40 clusters'
line iter1-lmft 'iter1-lmft: 47 clusters, agreement NMI 0.97 with iter1, EER 5.50 %'
line iter2-gate 'iter2-gate: agreement NMI 0.90 with iter1-gate'
expect_one_line 1 'work has no finished round iter2' "$report" --work work --line iter2

# A name's control characters do not reach the terminal.
mkdir "work/iter3-$(printf '\033[31m')"
echo '{"clusters": 4}' >"work/iter3-$(printf '\033[31m')/clusters.json"
line "iter3-$(printf '\033[31m')" 'iter3-\x1b[31m: 4 clusters'
rm -r work/iter3-*

# The table: patterns give the mean and the deviation, of rounds that may come from each other.
mkdir work/iter1-b
echo '{"clusters": 46}' >work/iter1-b/clusters.json
cp work/iter1/eval.json work/iter1-b/
table=$("$report" --work work --table 'iter0,iter1-*' --quiet) || fail "--table: exit status $?"
[ "$table" = "| round | EER (%) | minDCF 0.01 | minDCF 0.05 | clusters | purity | NMI |
|---|---|---|---|---|---|---|
| iter0 | 15.54 | 0.947 |  | 51 |  |  |
| iter1-* | 5.80 ± 0.42 | 0.412 | 0.300 | 46 ± 1 |  |  |" ] || fail "--table printed: $table"
expect_one_line 1 'iter1\*: .* and iter10 do not come from each other.*iter9 is not here' "$report" --work work --table 'iter1*' --quiet
rm -r work/iter1-b
expect_one_line 1 'work has no finished round iter7' "$report" --work work --table iter7 --quiet

# The page: whatever is missing is said; whatever is there is drawn; nothing comes from elsewhere.
printf 'step 10 loss 6.5 grad 1\nstep 20 loss 5.5 grad 1\n' >work/iter0/pretrain.log
printf 'a b 4 target\na c 3 nontarget\na d 2 target\na e 1 nontarget\n' >work/iter1/scores.txt
cat >work/iter1/eval.json.json <<'END'
{"command": ["voxloop-evaluate", "--scores", "<b> & c"], "wall_seconds": 1.25, "peak_bytes": 1048576}
END
expect 0 'report: done 5 rounds in .*page.html' "$report" --work work --out page.html
[ "$(grep -c '<svg.*role="img"' page.html)" = 4 ] || fail "not four plots (EER, labels, DET, loss)"
grep -qF 'no cluster sizes' page.html || fail "missing labels are not mentioned"
grep -qF 'iter10 has no embeddings.tar.zst' page.html || fail "missing embeddings are not mentioned"
grep -qF 'voxloop-evaluate --scores &quot;&lt;b&gt; &amp; c&quot;' page.html || fail "no escaped command line"
! grep -qiE '<script|<link|<img|@import|(src|href)=|url\(' page.html || fail "the page refers to something"
before=$(cksum page.html)
"$report" --work work --out page.html --quiet
[ "$(cksum page.html)" = "$before" ] || fail "the same folder gave another page"

# Bad folders: one line, and no page.
rm page.html
mkdir empty
expect_one_line 1 'empty holds no finished round' "$report" --work empty --out page.html
expect_one_line 1 'cannot open the folder nowhere' "$report" --work nowhere --out page.html
expect_one_line 2 'nothing to do' "$report" --work work
expect_one_line 1 'truth' "$report" --work work --out page.html --truth no-truth
printf 'a b 4 target\na c high nontarget\n' >work/iter1/scores.txt
expect_one_line 1 'iter1/scores.txt:2: ' "$report" --work work --out page.html
rm work/iter1/scores.txt
printf '{"eer": 6.' >work/iter1/eval.json
expect_one_line 1 'iter1/eval.json is not a JSON object' "$report" --work work --out page.html
[ ! -e page.html ] || fail "a failed run left a page"
echo "report: fine"
