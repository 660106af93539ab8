# What the pipeline's scripts share: refusing, showing text, quoting it, finding the nearest known name.
# Functions that return text leave it in REPLY: $(...) would cost a process and the newlines at its end.
set -u -o pipefail
users_locale=${LC_ALL-}
LC_ALL=C # names are bytes

# refuse SENTENCE: one line, and the run ends before anything was started.
refuse() {
    printf 'pipeline: error: %s\n' "$1" >&2
    exit 2
}

say() {
    printf 'pipeline: %s\n' "$1" >&2
}

# shown TEXT: as it may stand on a terminal: control characters are spelled out.
shown() {
    REPLY=$1
    [[ $1 != *[$'\x01'-$'\x1f\x7f']* ]] || REPLY=${1@Q}
}

# quoted TEXT: one word of a shell's command line that means TEXT whatever is in it.
quoted() {
    if [[ $1 == *[$'\x01'-$'\x1f\x7f']* ]]; then
        REPLY=${1@Q}
    elif [[ -z $1 || $1 == *[!A-Za-z0-9_./:,=@%+-]* ]]; then
        REPLY="'${1//\'/"'\\''"}'"
    else
        REPLY=$1
    fi
}

# command_line WORD...: the words, each quoted.
command_line() {
    local word line=
    for word in "$@"; do
        quoted "$word"
        line+=" $REPLY"
    done
    REPLY=${line# }
}

# has WORD LIST: whether the blank-separated list holds the word.
has() {
    [[ " $2 " == *" $1 "* ]]
}

# distance A B: Levenshtein's, by rows.
distance() {
    local a=$1 b=$2 i j diagonal above best
    local -a row
    for ((j = 0; j <= ${#b}; j++)); do row[j]=$j; done
    for ((i = 1; i <= ${#a}; i++)); do
        diagonal=$((i - 1)) row[0]=$i
        for ((j = 1; j <= ${#b}; j++)); do
            above=${row[j]} best=$((row[j - 1] < above ? row[j - 1] + 1 : above + 1))
            [[ ${a:i-1:1} == "${b:j-1:1}" ]] || ((diagonal++))
            row[j]=$((diagonal < best ? diagonal : best)) diagonal=$above
        done
    done
    REPLY=${row[${#b}]}
}

# nearest NAME KNOWN...: " (did you mean KNOWN?)", or nothing where none is near.
nearest() {
    local name=${1:0:64} known found= least=$((3 + ${#1} / 4))
    shift
    for known in "$@"; do
        distance "${name^^}" "${known^^}"
        ((REPLY < least)) && least=$REPLY found=$known
    done
    REPLY=${found:+" (did you mean $found?)"}
}

# canonical PATH: absolute and without links, as far as it is there.
canonical() {
    IFS= read -r -d '' REPLY < <(realpath -m -z -- "$1")
}

# relative PATH FOLDER: canonical PATH as seen from FOLDER.
relative() {
    IFS= read -r -d '' REPLY < <(realpath -m -z --relative-to="$2" -- "$1")
}

# inside PATH FOLDER: whether PATH is FOLDER or lies in it, links followed.
inside() {
    local path
    canonical "$1"
    path=$REPLY
    canonical "$2"
    [[ $path/ == "${REPLY%/}"/* ]]
}
