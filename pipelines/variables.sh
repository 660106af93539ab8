# The variables that the user may give, what each one is, and whether its value may stand. A value is text: it is
# looked at here and quoted wherever it is used.
#
# Kinds: path (must be there), name (a path that is made), one of some words, a number, or text.

declare -A kind=(
    [DATA]=path [TEST]=path [TRIALS]=path [TRUTH]=path [WAVLM]=path [NOISE]=path [RIR]=path
    [WORK]=name [BUILD]=name [BIN]=path [PRESET]=preset [SET]=text [SESSION]=text [METHODS]=text [LAUNCH]=text
    [WARMUP]='masked' [INIT]='none pretrain previous ivector' [UPDATE]='label train'
    [SEED]=number [THREADS]=threads [JOBS]=jobs [UTTS]=count [HOURS]=real [CHANGE]=names [V]=text
)
# What decides what comes out: WORK remembers these.
remembered='DATA PRESET SET SEED TEST TRIALS TRUTH SESSION WAVLM WARMUP INIT NOISE RIR'

given() {
    has "$1" "$VOXLOOP_ON_LINE $VOXLOOP_IN_ENVIRONMENT"
}

# told NAME: "NAME=value", and where it comes from if not from the command line.
told() {
    shown "${!1-}"
    REPLY="$1=$REPLY"
    ! has "$1" "$VOXLOOP_IN_ENVIRONMENT" || REPLY+=" (from the environment)"
}

# "a, b or c"
alternatives() {
    local words=$1
    REPLY=${words// /, }
    [[ $words != *' '* ]] || REPLY="${REPLY%, *} or ${words##* }"
}

check_names() {
    local name
    for name in $VOXLOOP_ON_LINE; do
        has "$name" "$VOXLOOP_VARIABLES" && continue
        nearest "$name" $VOXLOOP_VARIABLES
        refuse "$name= is no variable of this Makefile$REPLY; \`make -f Makefile.pipeline help\` lists them"
    done
}

# A path as the scripts use it: ~ is the home folder where the shell has left it, no slash at the end, and nothing
# that a program would take for an option.
tidy_path() {
    local path=$1
    [[ $path != '~' && $path != '~/'* ]] || path=${HOME-}${path:1}
    while [[ $path == ?*/ ]]; do path=${path%/}; done
    [[ $path != [-~]* ]] || path=./$path
    REPLY=$path
}

check_path() {
    tidy_path "${!1}"
    printf -v "$1" %s "$REPLY"
    [[ ${kind[$1]} == name || -e $REPLY ]] && return
    told "$1"
    refuse "$REPLY: no such file or folder"
}

# check_number NAME PATTERN MEANING
check_number() {
    [[ ${!1} =~ ^($2)$ ]] && return
    told "$1"
    refuse "$REPLY: $3"
}

check_choice() {
    has "${!1}" "${kind[$1]}" && [[ ${!1} != *' '* ]] && return
    local value
    told "$1"
    value=$REPLY
    alternatives "${kind[$1]}"
    refuse "$value is not known; it is $REPLY"
}

check_change() {
    local name
    CHANGE=${CHANGE//,/ }
    for name in $CHANGE; do
        has "$name" "$remembered" && continue
        shown "$name"
        refuse "CHANGE=$REPLY: a WORK remembers $remembered; name those that may change"
    done
}

check_value() {
    case ${kind[$1]-} in
    path | name) check_path "$1" ;;
    jobs) check_number "$1" '[1-9][0-9]{0,3}' 'a number of stages at a time, from 1' ;;
    threads) check_number "$1" '0|[1-9][0-9]{0,2}' 'a number of threads, 0 for every core' ;;
    number) check_number "$1" '0|[1-9][0-9]{0,17}' 'a whole number, from 0' ;;
    count) check_number "$1" '[1-9][0-9]{0,14}' 'a whole number, from 1' ;;
    real) check_number "$1" '[0-9]{1,15}(\.[0-9]{1,15})?' 'a number, such as 12.5' ;;
    names) check_change ;;
    preset | text | '') ;;
    *) check_choice "$1" ;;
    esac
}

# Every variable that was given. An empty one says "none", which for DATA would be the demo corpus by accident.
check_values() {
    local name
    set -f
    for name in $VOXLOOP_ON_LINE $VOXLOOP_IN_ENVIRONMENT; do
        if [[ -n ${!name} ]]; then
            check_value "$name"
        elif [[ $name == DATA || $name == WORK ]]; then
            refuse "$name= is empty; give a path, or leave $name= out"
        fi
    done
    set +f
    [[ -z ${WAVLM-} || -z ${WARMUP-} ]] || refuse 'WAVLM and WARMUP exclude each other: both are what rounds start from'
}

# ---- goals ---------------------------------------------------------------------------------------------------

plain_goals='build test bench help'
table_goals='report ablation compare plan clean'
round_form='iter((0|[1-9][0-9]{0,2})(-(extract|cluster|evaluate))?|0-(pretrain|ivector)|[1-9][0-9]{0,2}-(finetune|lmft))'

check_goals() {
    local goal
    set -f
    for goal in $VOXLOOP_GOALS; do
        has "$goal" "$plain_goals $table_goals" || [[ $goal =~ ^$round_form$ ]] && continue
        shown "$goal"
        [[ $goal != iter* ]] || refuse "$REPLY is not known; there are iterN (N from 0), iter0-pretrain, iter0-ivector, \
iterN-finetune (N from 1), iterN-extract, iterN-cluster, iterN-evaluate and iterN-lmft (N from 1)"
        local name=$REPLY
        nearest "$goal" $plain_goals $table_goals
        refuse "No rule to make target '$name'$REPLY; \`make -f Makefile.pipeline help\` lists them"
    done
    set +f
}
