#!/bin/bash
# A running program is found by its name, with ps, pgrep and pkill, though it may have started itself again to
# set what the OpenMP runtime and OpenBLAS read when they are loaded (base/process.h).
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
tones recordings 400
"$bin/voxloop-prepare" --quiet --audio recordings --out audio || fail "prepare"
sed 1d audio/utts.tsv | cut -f 1 | awk '{split($1, part, "-"); print $1, part[1]}' >utt2spk
unset GOMP_SPINCOUNT OMP_WAIT_POLICY

# starts COMMAND...: in the background, until its first checkpoint; $pid is it.
starts() {
    rm -f m.safetensors.resume
    "$@" --audio audio --labels utt2spk --steps 100000 --batch 4 --frames 60 --checkpoint-every 1 --out m.safetensors \
        --architecture channels=16,embed_dim=8 >/dev/null 2>log &
    pid=$!
    local tries=0
    until [ -f m.safetensors.resume ] || [ $((tries += 1)) -gt 1500 ]; do sleep 0.02; done
    [ -f m.safetensors.resume ] || { cat log >&2; fail "$1 does not run"; }
}
stops() {
    kill -KILL $pid
    wait $pid 2>/dev/null
}
environment() { tr '\0' '\n' <"/proc/$pid/environ" | sed -n "s/^$1=//p"; }

for ask in "" --if-changed; do
    starts "$bin/voxloop-finetune" $ask
    [ "$(cat /proc/$pid/comm)" = voxloop-finetun ] || fail "ps calls it $(cat /proc/$pid/comm)"
    pgrep -x voxloop-finetun | grep -qx $pid || fail "pgrep -x does not find it"
    pgrep -f "^$bin/voxloop-finetune" | grep -qx $pid || fail "pgrep -f does not find it: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
    [ "$(readlink "/proc/$pid/exe")" = "$(readlink -f "$bin/voxloop-finetune")" ] || fail "it runs $(readlink "/proc/$pid/exe")"
    [ -n "$(environment GOMP_SPINCOUNT)" ] || fail "it waits as long as the OpenMP runtime likes to"
    stops
done

# Under another name, by a link: the name is still the program's.
ln -s "$bin/voxloop-finetune" other-name
starts ./other-name
[ "$(cat /proc/$pid/comm)" = voxloop-finetun ] || fail "by a link: ps calls it $(cat /proc/$pid/comm)"
stops

# Who sets the variables is left alone.
GOMP_SPINCOUNT=77 starts "$bin/voxloop-finetune"
[ "$(environment GOMP_SPINCOUNT)" = 77 ] || fail "GOMP_SPINCOUNT=77 became $(environment GOMP_SPINCOUNT)"
stops
OMP_WAIT_POLICY=active starts "$bin/voxloop-finetune"
[ -z "$(environment GOMP_SPINCOUNT)" ] || fail "OMP_WAIT_POLICY=active: GOMP_SPINCOUNT=$(environment GOMP_SPINCOUNT)"
stops

# A configuration that can be read only once.
for ask in "" --if-changed; do
    rm -f s.tar.zst*
    "$bin/voxloop-ivector" --audio audio --out iv.safetensors --config <(printf 'gaussians = 2\nivector-dim = 2\nceps = 3\ndeltas = 0\n') \
        $ask >log 2>&1 || { cat log >&2; fail "a configuration from a pipe $ask"; }
    grep -q 'done 2 Gaussians, 2 dimensions' log || { cat log >&2; fail "a configuration from a pipe $ask was lost"; }
    rm iv.safetensors
done
echo "process: fine"
