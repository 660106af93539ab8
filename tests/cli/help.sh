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
for program in $programs; do
    expected=$golden/${program#voxloop-}.txt
    "$bin/$program" --help >"$scratch/help" 2>"$scratch/stderr" || fail "$program --help: exit status $?"
    [ ! -s "$scratch/stderr" ] || fail "$program --help writes on stderr: $(cat "$scratch/stderr")"
    [ -z "${VOXLOOP_UPDATE:-}" ] || cp "$scratch/help" "$expected"
    diff -u "$expected" "$scratch/help" >&2 || wrong="$wrong $program"
done
for verb in "" $("$bin/voxloop" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
    expected=$golden/front${verb:+-$verb}.txt
    "$bin/voxloop" $verb --help >"$scratch/help" 2>"$scratch/stderr" || fail "voxloop $verb --help: exit status $?"
    [ ! -s "$scratch/stderr" ] || fail "voxloop $verb --help writes on stderr: $(cat "$scratch/stderr")"
    [ -z "${VOXLOOP_UPDATE:-}" ] || cp "$scratch/help" "$expected"
    diff -u "$expected" "$scratch/help" >&2 || wrong="$wrong voxloop-$verb"
done
for expected in "$golden"/*.txt; do
    stage=$(basename "$expected" .txt)
    case $stage in front*) continue ;; esac
    [ -x "$bin/voxloop-$stage" ] || echo "SKIPPED: voxloop-$stage is not built" >&2
done
[ -z "$wrong" ] || fail "--help differs from $golden:$wrong; if that is meant: VOXLOOP_UPDATE=1 bash $0 $bin"
echo "help: fine for $programs"
