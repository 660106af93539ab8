# For tests that are scripts: `source` it with the folder of the executables as "$1". Every check says what it
# expected; the scratch folder goes away at the end.
set -u
bin=$1
source_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES # a test run by make is not part of that make
unset DATA WORK PRESET TEST TRIALS TRUTH WAVLM INIT NOISE RIR THREADS SEED LAUNCH BUILD

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# needs PROGRAM...: skips loudly what cannot be tested without them.
needs() {
    local program
    for program in "$@"; do
        [ -x "$bin/$program" ] || command -v "$program" >/dev/null || {
            echo "SKIPPED: $program is not there" >&2
            exit 77
        }
    done
}

# pipeline GOAL... VARIABLE=value...: the Makefile with the executables under test.
pipeline() {
    make -f "$source_folder/Makefile.pipeline" BIN="$bin" THREADS=2 "$@"
}

# expect STATUS PATTERN COMMAND...: the exit status, and a line of its output that matches (extended regex).
expect() {
    local wanted=$1 pattern=$2 status=0
    shift 2
    "$@" >"$scratch/output" 2>&1 || status=$?
    [ "$status" = "$wanted" ] || {
        cat "$scratch/output" >&2
        fail "exit status $status, not $wanted: $*"
    }
    grep -qE -- "$pattern" "$scratch/output" || {
        cat "$scratch/output" >&2
        fail "no line matches '$pattern': $*"
    }
}

# expect_one_line STATUS PATTERN COMMAND...: the same, and a stage says nothing else (make's own lines apart).
expect_one_line() {
    expect "$@"
    local lines
    lines=$(grep -cvE '^make(\[[0-9]+\])?: |: [0-9]+ threads?,' "$scratch/output")
    [ "$lines" -le 1 ] || {
        cat "$scratch/output" >&2
        fail "$lines lines instead of one: ${*:3}"
    }
}
