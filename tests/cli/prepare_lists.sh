#!/bin/bash
# voxloop-prepare from lists that people write: paths with blanks, from another folder, with the line ends of other
# systems; and manifests of other tools, which are named.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
tones plain 3000
mkdir -p lists/sub
cp plain/s0-u0.wav "lists/sub/New Recording 1.wav"
cp plain/s0-u1.wav 'lists/sub/b.wav'
prepare() { "$bin/voxloop-prepare" --quiet "$@"; }
ids() { sed 1d "$1/utts.tsv" | cut -f 1 | paste -sd ' '; }

# A list of paths: from its own folder, `./` as find writes it, blanks, CRLF and a byte-order mark.
printf '\xef\xbb\xbf./sub/New Recording 1.wav\r\n./sub/b.wav\r\n' >lists/paths
prepare --audio lists/paths --out a || fail "a list of paths"
[ "$(ids a)" = 'sub/New%20Recording%201.wav sub/b.wav' ] || fail "list of paths: $(ids a)"
[ "$(cat a/names.tsv)" = $'utt\tname\nsub/New%20Recording%201.wav\tsub/New Recording 1.wav' ] || fail "names.tsv: $(cat a/names.tsv)"
(cd lists && prepare --audio paths --out ../b) || fail "the list from its folder"
cmp -s a/utts.tsv b/utts.tsv || fail "where the list is read from changes the ids"
printf 'sub/b.wav\n./sub/b.wav\n' >lists/twice
expect_one_line 1 'lists/twice lists sub/b.wav twice' prepare --audio lists/twice --out none

# A wav.scp: the path may hold blanks; behind a tab so may the utterance.
printf 'utt-2 sub/New Recording 1.wav\nutt-1 sub/b.wav\n' >lists/scp
prepare --audio lists/scp --out c || fail "a wav.scp with blanks in a path"
[ "$(ids c)" = 'utt-1 utt-2' ] || fail "wav.scp: $(ids c)"
[ ! -e c/names.tsv ] || fail "names.tsv where no name was changed"
printf 'New Recording 1\tsub/New Recording 1.wav\nb\tsub/b.wav\n' >lists/tabs
prepare --audio lists/tabs --out d || fail "a wav.scp with tabs"
[ "$(ids d)" = 'New%20Recording%201 b' ] || fail "wav.scp with tabs: $(ids d)"
prepare --audio lists/scp --out d || fail "the folder once more"
[ ! -e d/names.tsv ] || fail "names.tsv of an earlier corpus stays"
printf 'here sub/b.wav\nthere gone/a b.wav\n' >lists/gone
prepare --audio lists/gone --out e || fail "one missing recording ended the run"
grep -q '^there.gone/a b.wav: .*No such file' e/rejects.tsv || fail "the missing path is not named: $(cat e/rejects.tsv)"
printf 'here sub/b.wav\nhere sub/b.wav\n' >lists/again
expect_one_line 1 'lists/again:2: duplicate id here .first on line 1' prepare --audio lists/again --out none
printf 'here\n' >lists/one
expect_one_line 1 'none of the 1 recordings can be used; the first, here' prepare --audio lists/one --out none
printf 'a sub/b.wav\nb sub/\0b.wav\n' >lists/nul
expect_one_line 1 'lists/nul:2: holds a NUL byte' prepare --audio lists/nul --out none
printf '\xff\xfea\0\n\0' >lists/utf16
expect_one_line 1 'lists/utf16 is UTF-16; save it as UTF-8' prepare --audio lists/utf16 --out none

# A name of 64 KiB is a reject; of 3 000 bytes, an utterance.
{ printf '%065536d sub/b.wav\n' 1; printf '%03000d sub/b.wav\n' 1; } >lists/long
prepare --audio lists/long --out h || fail "a long name ended the run"
[ "$(ids h | wc -c)" = 3001 ] || fail "the long utterance is lost"
grep -q 'its name is longer than 4000 bytes' h/rejects.tsv || fail "a name of 64 KiB is no reject"

# Segments, with the line ends of other systems.
printf '\xef\xbb\xbfpart utt-1 0.2 1.4\r\n' >segments
prepare --audio lists/scp --segments segments --out f || fail "segments with CRLF"
[ "$(sed 1d f/utts.tsv)" = $'part\taudio-00000.tar.zst\t19200' ] || fail "segments: $(cat f/utts.tsv)"
printf 'utt recording start end\n' >header
expect_one_line 1 'header:1: `utt ...` is not `utterance recording start end .channel.`' prepare --audio lists/scp --segments header --out none

# A folder whose name is not UTF-8: its record is, as JSON has to be.
cp -r plain $'latin\xe9'
prepare --audio $'latin\xe9' --out g || fail "a folder in Latin-1"
iconv -f UTF-8 -t UTF-8 g/utts.tsv.json >/dev/null && grep -qF 'latin\\xe9' g/utts.tsv.json || fail "the record is no UTF-8"

# What other tools call a manifest.
printf '{"audio_filepath": "sub/b.wav", "duration": 1.5, "label": "s0"}\n' >lists/manifest.json
expect_one_line 1 'lists/manifest.json is JSON, .*jq -r .audio_filepath' prepare --audio lists/manifest.json --out none
printf 'ID,duration,wav,spk_id\nb,1.5,sub/b.wav,s0\n' >lists/train.csv
expect_one_line 1 'lists/train.csv is a table with a header' prepare --audio lists/train.csv --out none
[ ! -e none ] || fail "a refused list left a folder"
echo "prepare_lists: fine"
