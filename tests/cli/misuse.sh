#!/bin/bash
# Every program: --help and --version, and wrong words on the command line, which exit with 2 and one line that
# says which option, and what it could have been.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
printf 'no-such-key = 1\n' >top.ini

programs=$(cd "$bin" && echo voxloop-*)
[ "$programs" != 'voxloop-*' ] || fail "no programs in $bin"
for program in $programs; do
    section=${program#voxloop-}
    printf '[%s]\nno-such-key = 1\n' "$section" >section.ini
    printf '[%s]\nthreads = many\n' "$section" >value.ini
    printf '[%s]\nthreads\n' "$section" >syntax.ini
    expect 0 '^ *--config' "$bin/$program" --help
    expect 0 '[0-9]+\.[0-9]+\.[0-9]+' "$bin/$program" --version
    expect_one_line 2 'no-such-option' "$bin/$program" --no-such-option 1
    expect_one_line 2 'threads' "$bin/$program" --threads many
    expect_one_line 2 'threads' "$bin/$program" --threads -3
    expect_one_line 2 'no-such-key' "$bin/$program" --set no-such-key=1
    expect_one_line 2 'top.ini.*no-such-key' "$bin/$program" --config top.ini
    expect_one_line 2 'section.ini:2.*no-such-key' "$bin/$program" --config section.ini
    expect_one_line 2 'value.ini:2.*threads' "$bin/$program" --config value.ini
    expect_one_line 2 'syntax.ini:2' "$bin/$program" --config syntax.ini
    expect_one_line 2 'nowhere.ini' "$bin/$program" --config nowhere.ini
    expect_one_line 2 '--[a-z]' "$bin/$program" # a required option is missing
done
# Options that contradict each other, or are of no use without another one: said, not ignored. (cluster's and evaluate's
# are in cluster_odd.sh and evaluate_odd.sh.)
contradicts() { # PATTERN PROGRAM OPTION...
    expect_one_line 2 "$1" "$bin/voxloop-$2" "${@:3}"
}
contradicts 'architecture and --ignore are for reading' import --model x --out y --export --ignore z
contradicts 'architecture and --ignore are for reading' import --model x --out y --export --architecture channels=8
contradicts 'form is for --export' import --model x --out y --form wespeaker
contradicts 'keep-classes .* --init FILE' finetune --audio x --labels y --out z --keep-classes
contradicts 'truth FILE is for the page' report --work x --line iter0 --truth y
contradicts 'min-seconds 20 is more than --max-seconds 10' prepare --audio x --out y --min-seconds 20 --max-seconds 10
contradicts 'halves and --crops exclude' extract --audio x --model y --out z --halves 3 --crops 3
[ "$(ls)" = "$(printf 'output\nsection.ini\nsyntax.ini\ntop.ini\nvalue.ini')" ] || fail "misuse left files: $(ls)"
# A configuration file of another system; one that is no text, and one whose value is cut by a NUL.
plan() { "$bin/voxloop-cluster" --config "$1" --plan 100 --embeddings - --out - --report -; }
printf '\xef\xbb\xbf[cluster]\r\nthreads = many\r\n' >crlf.ini
printf '[cluster]\rthreads = many\r' >mac.ini
for file in crlf.ini mac.ini; do
    expect_one_line 2 "$file:2.*threads" plan $file
done
printf '[cluster]\nclusters = 3\0\n' >nul.ini
expect_one_line 2 'nul.ini:2: holds a NUL byte' plan nul.ini
printf '\xff\xfe[\0c\0' >utf16.ini
expect_one_line 2 'utf16.ini is UTF-16' plan utf16.ini
echo "misuse: fine for $programs"
