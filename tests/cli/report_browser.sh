#!/bin/bash
# The page in a real browser: names, speakers, folders and command lines that look like markup are shown as the text
# they are; no script runs, and none would: the policy blocks one that is put into the page.
source "$(dirname "$0")/../support/shell.sh"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
    echo "SKIPPED: no chromium" >&2
    exit 77
}
cd "$scratch" || exit 1

# dom PAGE: the page after the browser has built it and its scripts have run, if any; console on stderr.
dom() {
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-dev-shm-usage \
        --disable-background-networking --disable-component-update --disable-sync --user-data-dir="$(mktemp -d -p "$scratch")" \
        --enable-logging=stderr --virtual-time-budget=2000 --dump-dom "file://$scratch/$1" 2>console
}
echo '<title>before</title><script>document.title = "ran"</script>' >probe.html
dom probe.html | grep -q '<title>ran</title>' || {
    echo "SKIPPED: $browser does not run here: $(tail -n 2 console)" >&2
    exit 77
}

markup="<img src=x onerror=\"document.title='ran'\">"
tones plain 3000
mkdir -p "audio/$markup"
for i in 0 1 2 3; do
    for j in 0 1 2; do cp "plain/s$i-u$j.wav" "audio/$markup/$i$j <script>document.title='ran'<$(printf '\xe2\x80\xa8')script>.wav"; done
done
work="w $markup"
round="$work/iter0-$markup"
mkdir -p "$round"
options="--config $source_folder/pipelines/smoke.ini --threads 2 --quiet"
"$bin/voxloop-prepare" $options --audio audio --out prepared || fail "prepare"
"$bin/voxloop-ivector" $options --audio prepared --out "$round/model.safetensors" || fail "ivector"
"$bin/voxloop-extract" $options --audio prepared --model "$round/model.safetensors" --out "$round/embeddings.tar.zst" || fail "extract"
"$bin/voxloop-cluster" $options --clusters 4 --embeddings "$round/embeddings.tar.zst" --out "$round/labels.tar.zst" --report "$round/clusters.json" || fail "cluster"
"$bin/voxloop-evaluate" $options --label-free --embeddings "$round/embeddings.tar.zst" --scores "$round/scores.txt" --report "$round/eval.json" || fail "evaluate"
printf 'step 1 loss 3\nstep 2 loss 2\n' | tee "$round/pretrain.log" >"$round/finetune.log"
echo '{"threshold": 0.5, "log_losses": {"low": -2, "high": 2, "counts": [5, 1]}}' >"$round/gate.json"
sed 1d prepared/utts.tsv | cut -f 1 | while IFS= read -r id; do printf '%s\t</title><script>document.title="ran"</script>%s\n' "$id" "${id:0:9}"; done >truth
"$bin/voxloop-report" --quiet --work "$work" --truth truth --out page.html || fail "report"

dom page.html >dom || fail "the browser could not read the page"
grep -q '<title>voxloop report</title>' dom || { head -c 600 dom >&2; fail "a script ran"; }
! grep -qiE '<(script|img|iframe|object|link)' dom || fail "a name became an element: $(grep -oiE '<(script|img|iframe|object|link).{60}' dom | head -n 1)"
! grep -E 'CONSOLE' console || fail "the console says something"
grep -qF '<th>iter0-&lt;img src=x onerror="document.title='"'ran'"'"&gt;</th>' dom || fail "the round's name is not shown"
for text in "document.title='ran'&lt;%E2%80%A8script&gt;.wav" '&lt;/title&gt;&lt;script&gt;document.title="ran"&lt;/script&gt;' 'w &lt;img src=x'; do
    grep -qF -- "$text" dom || fail "not shown as text: $text"
done
n=$(grep -c '<title>%3Cimg\|<title>c00' dom)
[ "$n" -ge 12 ] || fail "$n of 12 utterances have a hint"

# The second wall.
sed 's|</body>|<img src=x onerror="document.title=1"><script>document.title = "ran"</script></body>|' page.html >breached.html
dom breached.html >dom || fail "the browser could not read the breached page"
grep -q '<title>voxloop report</title>' dom && grep -q 'Content Security Policy' console || fail "the policy stops no script"
echo "report_browser: fine"
