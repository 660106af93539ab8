#!/bin/bash
# voxloop-inspect tells each kind of artefact from its bytes, and names what it refuses.
# usage: inspect.sh FOLDER-OF-EXECUTABLES
set -u
inspect=$1/voxloop-inspect
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
failures=0

# expect STATUS TEXT ARGUMENT...: the exit status, and a text within the output
expect() {
    local status=$1 text=$2 output
    shift 2
    output=$("$inspect" "$@" 2>&1)
    local got=$?
    if [ $got -ne "$status" ] || [[ $output != *"$text"* ]]; then
        echo "inspect $*: wanted status $status and \"$text\", got status $got and: $output"
        failures=$((failures + 1))
    fi
}

printf 'a.wav s1\nb.wav s1\nc.wav s2\n' >labels
expect 0 "labels: labels (utterance speaker), 3 utterances, 2 labels, largest 2, 1 singletons" labels

header="{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }"
{ printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "$header"; head -c 8 /dev/zero; } >x.npy
expect 0 "x.npy: npy matrix [1, 2]" x.npy
head -c 130 x.npy >cut.npy
expect 1 "cut.npy" cut.npy

header='{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  '
{ printf '\x57\0\0\0\0\0\0\0%s' "$header"; head -c 8 /dev/zero; } >x.safetensors
expect 0 "F32 [2] w" x.safetensors
expect 0 "format: pt" x.safetensors

echo '{"eer": 3.5}' >eval.json
expect 0 '"eer":	3.5' eval.json
# What a terminal would obey is shown instead.
printf '{"reason": "\\u001b[2J \\u009b31m \\u007f", "name": "Zo\xc3\xab"}' >escapes.json
expect 0 '"reason":	"\u001b[2J \u009b31m \x7f"' escapes.json
expect 0 '"name":	"Zoë"' escapes.json
esc=$(printf '\033[31m')
cp x.npy "$esc.npy"
expect 0 '\x1b[31m.npy: npy matrix [1, 2]' "$esc.npy"
expect 1 'cannot open \x1b[31m: No such file' "$esc"
expect 2 '\x1b[31m' "--$esc"
printf "{" >bad.json
expect 1 "bad.json begins like JSON but is damaged" bad.json

printf '\x28\xb5\x2f\xfdnonsense, but long enough for a table' >x.tar.zst
expect 1 "x.tar.zst is not a whole shard" x.tar.zst
mkdir folder
expect 1 "folder holds no utts.tsv" folder
expect 1 "cannot open nothing: No such file or directory" nothing
expect 2 "no FILE given"
expect 2 "did you mean --limit?" --limt 3 labels
exit $((failures > 0))
