#!/bin/bash
# Golden test of every program's --help: tests/cli/help/<stage>.txt is what it prints. After a change that is
# meant, write the files anew and read the difference:
#
#     VOXLOOP_UPDATE=1 bash tests/cli/help.sh build/bin && git diff tests/cli/help
source "$(dirname "$0")/../support/shell.sh"
golden=$source_folder/tests/cli/help

programs=$(cd "$bin" && echo voxloop-*)
[ "$programs" != 'voxloop-*' ] || fail "no programs in $bin"
wrong=
# A line that begins like these can be understood only beside the one above it, and not when grep has found it.
alone() { # NAME, --help on standard input
    local words='of|for|in|to|their|its|they|it|them|the same|instead|where|when|with|at most|at least|so many|this|that|which|and|or'
    grep -nE "^  --[^ ]+( [^ ]+)?  +($words)([ ,:;]|\$)" | grep -vE '  (instead of |with --)' >&2 &&
        fail "$1 --help: this line cannot be understood alone"
}

for program in $programs; do
    expected=$golden/${program#voxloop-}.txt
    "$bin/$program" --help >"$scratch/help" 2>"$scratch/stderr" || fail "$program --help: exit status $?"
    [ ! -s "$scratch/stderr" ] || fail "$program --help writes on stderr: $(cat "$scratch/stderr")"
    [ -z "${VOXLOOP_UPDATE:-}" ] || cp "$scratch/help" "$expected"
    diff -u "$expected" "$scratch/help" >&2 || wrong="$wrong $program"
    alone "$program" <"$scratch/help"
done
for verb in "" $("$bin/voxloop" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
    expected=$golden/front${verb:+-$verb}.txt
    "$bin/voxloop" $verb --help >"$scratch/help" 2>"$scratch/stderr" || fail "voxloop $verb --help: exit status $?"
    [ ! -s "$scratch/stderr" ] || fail "voxloop $verb --help writes on stderr: $(cat "$scratch/stderr")"
    [ -z "${VOXLOOP_UPDATE:-}" ] || cp "$scratch/help" "$expected"
    diff -u "$expected" "$scratch/help" >&2 || wrong="$wrong voxloop-$verb"
    alone "voxloop $verb" <"$scratch/help"
done
for expected in "$golden"/*.txt; do
    stage=$(basename "$expected" .txt)
    case $stage in front*) continue ;; esac
    [ -x "$bin/voxloop-$stage" ] || echo "SKIPPED: voxloop-$stage is not built" >&2
done
[ -z "$wrong" ] || fail "--help differs from $golden:$wrong; if that is meant: VOXLOOP_UPDATE=1 bash $0 $bin"
echo "help: fine for $programs"
