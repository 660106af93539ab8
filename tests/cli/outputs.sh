#!/bin/bash
# What a run writes: looked at before the work, never in place of an input, another output or what is no file.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
perl -e '
    my $header = "{\x27descr\x27: \x27<f4\x27, \x27fortran_order\x27: False, \x27shape\x27: (12, 2), }";
    print "\x93NUMPY\1\0", pack("v", 118), $header, " " x (117 - length $header), "\n";
    print pack("f<2", cos($_ % 3 + $_ / 100), sin($_ % 3 + $_ / 100)) for 0 .. 11;' >x.npy
for i in $(seq 10 21); do echo "u$i"; done >list
cluster() { "$bin/voxloop-cluster" --quiet --embeddings x.npy --list list --clusters 3 --threads 1 "$@"; }
refused() { # WHAT it says, option...: misuse, and nothing was touched
    expect_one_line 2 "$1" cluster "${@:2}"
    cmp -s x.npy kept.npy || fail "the embeddings were replaced: ${*:2}"
}
cp x.npy kept.npy

# ---- two names for one file ----------------------------------------------------------------------------------

mkdir folder
ln -s "$PWD/folder" link
refused '--out and --report would write the same file' --out same --report same
refused 'same file' --out same --report ./same
refused 'same file' --out "$PWD/same" --report same
refused 'same file' --out folder/same --report link/same
refused 'same file' --out new/same --report ./folder/../new//same
refused 'same file, labels.json' --out labels --report labels.json
echo old >one
ln one two
refused 'same file' --out one --report two
ln -s one three
refused 'same file' --out one --report three
ln -s not-there four
refused 'same file' --out not-there --report four
refused '--out would replace x.npy, which --embeddings reads' --out x.npy --report r
ln x.npy hard.npy
refused 'which --embeddings reads' --out l --report hard.npy
refused 'which --list reads' --out ./list --report r
refused 'which --truth reads' --truth one --out l --report two
touch folder/audio-00000.tar.zst
expect_one_line 2 'which --audio reads' "$bin/voxloop-extract" --quiet --audio folder --model m --out folder/audio-00000.tar.zst
expect_one_line 2 'which --audio reads' "$bin/voxloop-prepare" --quiet --audio folder --out link
[ "$(cat one)" = old ] || fail "a refused run wrote"

# ---- what is no file -----------------------------------------------------------------------------------------

cluster --out l.tar.zst --report c.json || fail "the embeddings cannot be clustered"
cluster --out l.tar.zst --report /dev/null || fail "--report /dev/null"
[ -c /dev/null ] || fail "/dev/null was replaced"
[ ! -e /dev/null.json ] || { rm /dev/null.json; fail "a record beside /dev/null"; }
cluster --out /dev/null --report /dev/null || fail "both to /dev/null"
[ ! -e /dev/null.json ] || { rm /dev/null.json; fail "a record beside /dev/null"; }
cluster --out l.tar.zst --report /dev/stdout | cmp - c.json || fail "--report /dev/stdout through a pipe"
{ echo before; cluster --out l.tar.zst --report /dev/stdout; } >direct
tail -n +2 direct | cmp - c.json || fail "--report /dev/stdout into a file"
cmp -s <(cluster --out l.tar.zst --report >(cat >through)) /dev/null
for _ in $(seq 50); do cmp -s through c.json && break; sleep 0.1; done
cmp through c.json || fail "--report >(cat)"
mkfifo pipe
cat pipe >from-pipe &
cluster --out pipe --report r.json || fail "--out to a pipe"
wait
cmp from-pipe l.tar.zst || fail "another shard came through the pipe"
[ ! -e pipe.json ] || fail "a record beside a pipe"
ln -s folder/real linked
cluster --out linked --report r.json || fail "--out to a link"
[ -L linked ] && cmp folder/real l.tar.zst || fail "the link was replaced instead of what it points to"

# ---- before the work: said although the embeddings are not there ---------------------------------------------

early() { expect_one_line 1 "$1" "$bin/voxloop-cluster" --quiet --embeddings none.npy "${@:2}"; }
early '--out: cannot write folder: it is a folder; name a file' --out folder --report r.json
early '--report: cannot write one/r.json' --out l --report one/r.json
early '--report: cannot write /proc/none/r.json' --out l --report /proc/none/r.json
early 'none.npy' --out deep/er/l --report r.json
[ ! -e deep ] || fail "a folder was made for a run that failed at its input"
cluster --out deep/er/l --report deep/r.json || fail "missing folders are not made"
[ -s deep/er/l ] && [ -s deep/er/l.json ] && [ -s deep/r.json ] || fail "not everything lies in the new folders"
expect_one_line 1 'cannot write into one: it is no folder' "$bin/voxloop-prepare" --quiet --audio folder --out one
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    chmod 755 "$scratch" folder
    expect_one_line 1 '--out: cannot write folder/l: Permission denied' setpriv --reuid=65534 --regid=65534 --clear-groups \
        "$bin/voxloop-cluster" --quiet --embeddings none.npy --out folder/l --report /dev/null
fi
[ -z "$(find . -name '.*.tmp-*')" ] || fail "a temporary is left"
echo "outputs: fine"
