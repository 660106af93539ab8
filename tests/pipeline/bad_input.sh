#!/bin/bash
# What strangers bring: one clear line each, nothing half written, finished work kept.
source "$(dirname "$0")/../support/shell.sh"
needs espeak-ng
cd "$scratch" || exit 1
"$bin/../tests/tool_strange_audio" strange || fail "the strange recordings could not be made"
options="--config $source_folder/pipelines/smoke.ini --threads 2 --quiet"
prepare() { "$bin/voxloop-prepare" $options "$@"; }
rows() { grep -c '\.' "$1" 2>/dev/null; } # lines that name a file

# ---- recordings ----------------------------------------------------------------------------------------------

mkdir empty
expect_one_line 1 'empty' prepare --audio empty --out none
expect_one_line 1 'bad' prepare --audio strange/bad --out none
expect_one_line 1 'nowhere' prepare --audio nowhere --out none
[ ! -e none/utts.tsv ] || fail "a corpus without utterances was published"

prepare --audio strange/fine --copies keep --out fine || fail "the fine recordings were refused"
[ "$(rows fine/utts.tsv)" = 10 ] || { cat fine/rejects.tsv >&2; fail "a good format was not read"; }
prepare --audio strange --out mixed || fail "bad recordings among good ones stopped the run"
for name in silent.wav short.wav no-samples.wav not-a-number.wav zero-bytes.wav text.wav corrupt.flac header-only.flac; do
    grep -qP "^bad/$name\t.+" mixed/rejects.tsv || { cat mixed/rejects.tsv >&2; fail "$name was not rejected with a reason"; }
done
[ "$(cat mixed/utts.tsv mixed/rejects.tsv | grep -c '^lying.flac')" = 1 ] || fail "the FLAC whose header lies is lost"
printf 'a %s\nb cat %s |\n' strange/fine/mono.wav strange/fine/mono.wav >piped.scp
expect_one_line 1 'piped.scp:2' prepare --audio piped.scp --out piped

# ---- a small loop, then its lists and files spoilt one by one ------------------------------------------------

work=$scratch/work
run() { pipeline iter0 PRESET=smoke WORK="$work" "$@"; }
run >log 2>&1 || { cat log >&2; fail "iter0 did not finish"; }
cp "$work/demo/train.utt2spk" truth
cp "$work/demo/test.trials" trials
state() { (cd "$work" && find . -name '*.zst' -o -name '*.safetensors' -o -name 'eval.json' -o -name 'clusters.json' | LC_ALL=C sort | xargs sha256sum); }
state >finished

sed 2d truth >missing
{ cat truth; head -n 1 truth; } >duplicate
sed '3s/.*/1 someone.wav nobody.wav/' trials >unknown
printf 'words and no trials at all\n' >words
sed 's/^/x/' truth >others
expect 2 'duplicate:[0-9]+' run TRUTH="$scratch/duplicate" CHANGE=TRUTH
expect 2 'someone.wav' run TRIALS="$scratch/unknown" CHANGE=TRIALS
expect 2 'words:1' run TRIALS="$scratch/words" CHANGE=TRIALS
expect 2 'others speaks of none of the 48 recordings' run TRUTH="$scratch/others" CHANGE=TRUTH
state | diff finished - >&2 || fail "bad lists cost finished work"

# A truth that speaks of some is used for these.
expect 0 'it covers 47 of 48 utterances' run TRUTH="$scratch/missing" CHANGE=TRUTH
grep -q 'missing speaks of 47 of 48 recordings' "$scratch/output" || fail "nobody says that the truth is a part"
grep -q '^iter0: .*purity' "$scratch/output" || fail "a partial truth measures nothing"
run report >log 2>&1 || { cat log >&2; fail "a report with a partial truth failed"; }
run TRUTH="$work/demo/train.utt2spk" CHANGE=TRUTH >log 2>&1 || { cat log >&2; fail "the whole truth failed"; }

# spoil FILE HOW: a copy with its second half cut off or one bit flipped in the middle.
spoil() {
    local size
    size=$(stat -c %s "$1")
    case $2 in
    truncated) head -c $((size / 2)) "$1" ;;
    flipped)
        head -c $((size / 2)) "$1"
        printf "\\x$(printf %02x $(($(od -An -tu1 -j $((size / 2)) -N 1 "$1") ^ 16)))"
        tail -c +$((size / 2 + 2)) "$1"
        ;;
    esac
}
for how in truncated flipped; do
    spoil "$work/iter0/embeddings.tar.zst" $how >$how.tar.zst
    spoil "$work/iter0/model.safetensors" $how >$how.safetensors
    expect_one_line 1 "$how.tar.zst" "$bin/voxloop-cluster" $options --embeddings $how.tar.zst --out l.tar.zst --report l.json
    expect_one_line 1 "$how.tar.zst" "$bin/voxloop-finetune" $options --audio "$work/audio" --labels $how.tar.zst --out m.safetensors
    expect_one_line 1 "$how.safetensors" "$bin/voxloop-extract" $options --audio "$work/audio" --model $how.safetensors --out e.tar.zst
    expect_one_line 1 "$how.safetensors" "$bin/voxloop-finetune" $options --audio "$work/audio" --labels "$work/iter0/labels.tar.zst" --init $how.safetensors --out m.safetensors
done
[ ! -e l.tar.zst ] && [ ! -e m.safetensors ] && [ ! -e e.tar.zst ] || fail "a spoilt input gave an artefact"
spoil "$work/audio/audio-00000.tar.zst" flipped >"$work/audio/flipped"
mv "$work/audio/flipped" "$work/audio/audio-00000.tar.zst"
expect_one_line 1 'audio-00000.tar.zst' "$bin/voxloop-extract" $options --audio "$work/audio" --model "$work/iter0/model.safetensors" --out e.tar.zst

# ---- a full disk ---------------------------------------------------------------------------------------------

cat >full.sh <<'SCRIPT'
mount -t tmpfs -o size=64k tmpfs disk || exit 75
"$@" --out disk/out.tar.zst
status=$?
[ -z "$(find disk -type f)" ] || { echo "left on the full disk: $(find disk -type f)"; exit 1; }
exit $status
SCRIPT
mkdir disk
status=0
unshare --user --map-root-user --mount sh full.sh true >/dev/null 2>&1 || status=$?
if [ $status = 75 ] || ! unshare --user --map-root-user --mount true 2>/dev/null; then
    echo "not tested here: a full disk (no user namespaces)" >&2
else
    head -c 60000 /dev/urandom >pad
    sed -i 's|^"\$@"|cat pad >disk/.pad; "$@"|; s|find disk -type f|find disk -type f ! -name .pad|g' full.sh
    expect 1 'disk/.*[Nn]o space left' unshare --user --map-root-user --mount sh full.sh \
        "$bin/voxloop-extract" $options --audio fine --model "$work/iter0/model.safetensors"
fi
echo "bad_input: fine"
