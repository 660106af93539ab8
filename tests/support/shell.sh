# For tests that are scripts: `source` it with the folder of the executables as "$1". Every check says what it
# expected; the scratch folder goes away at the end.
set -u
bin=$1
source_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES # a test run by make is not part of that make
unset DATA WORK PRESET TEST TRIALS TRUTH WAVLM WARMUP METHODS INIT NOISE RIR THREADS SEED LAUNCH BUILD

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

# tones FOLDER NOISE: 12 recordings of 1.5 s, sI-uJ.wav, three of each pitch, under noise of so many int16 steps.
tones() {
    mkdir "$1"
    perl -e '
        my ($folder, $noise) = @ARGV;
        srand(5);
        for my $i (0 .. 11) {
            my $hz = 100 + 40 * int($i / 3);
            my @x = map { my $t = $_ / 16000; int(6000 * sin(6.2832 * $hz * $t) + 3000 * sin(12.566 * $hz * $t) + rand($noise)) } 1 .. 24000;
            open my $out, ">:raw", sprintf("%s/s%d-u%d.wav", $folder, $i / 3, $i % 3) or die;
            print $out "RIFF", pack("V", 36 + 48000), "WAVEfmt ", pack("VvvVVvv", 16, 1, 1, 16000, 32000, 2, 16), "data", pack("V", 48000), pack("s<*", @x);
        }' "$1" "$2"
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
