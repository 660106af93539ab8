# From the user's words to rules: checks everything that can be checked without the programs, and settles what was
# left open. Nothing is written. words.sh stops here; loop.sh goes on.

source "$VOXLOOP_HOME/pipelines/base.sh"
source "$VOXLOOP_HOME/pipelines/variables.sh"
source "$VOXLOOP_HOME/pipelines/preset.sh"
source "$VOXLOOP_HOME/pipelines/rounds.sh"
source "$VOXLOOP_HOME/pipelines/memory.sh"
source "$VOXLOOP_HOME/pipelines/places.sh"
source "$VOXLOOP_HOME/pipelines/rules.sh"

[[ $VOXLOOP_FLAGS == *n* ]] && dry=yes || dry=
[[ -z ${V-} || $V == 0 ]] && quiet=@ || quiet=
BIN=${BIN:-$BUILD/bin}

# work_goals, and of these round_goals: iter2 for iter2-cluster.
sort_goals() {
    local goal key
    work_goals= round_goals=
    for goal in $VOXLOOP_GOALS; do
        has "$goal" "$plain_goals $work_goals" && continue
        work_goals+="${work_goals:+ }$goal"
        [[ $goal == *-lmft ]] && key=$goal || key=${goal%%-*}
        [[ $goal != iter* ]] || has "$key" "$round_goals" || round_goals+="${round_goals:+ }$key"
    done
}

# WORK=work/small-libri-train for DATA=../data/libri/train: two corpora do not share a folder by accident.
settle_work() {
    local part data=${DATA-} parts=()
    [[ ${data##*/} != *.* ]] || data=${data%.*}
    while IFS= read -r -d / part; do
        [[ -z $part || $part == . || $part == .. ]] || parts+=("${part//[!A-Za-z0-9._+$'\x80'-$'\xff'-]/_}")
    done <<<"$data/"
    part=${parts[*]: -2}
    WORK=${WORK:-work/$preset_name${part:+-${part// /-}}}
    shown "$WORK"
    [[ ! -e $WORK || -d $WORK ]] || refuse "WORK=$REPLY: this is a file; WORK is a folder"
    [[ -e $WORK || ! -L $WORK ]] || refuse "WORK=$REPLY: this link leads nowhere"
}

check_methods() {
    local method
    METHODS=${METHODS-}
    METHODS=${METHODS//,/ }
    for method in $METHODS; do
        has "$method" "${methods[*]}" && continue
        shown "$method"
        refuse "METHODS: $REPLY is not known; $methods_file has ${methods[*]}"
    done
}

# A stage uses every core itself, so there is one at a time. The rows of tables do not need each other: JOBS of
# them share the cores. Two get through more than one, so compare, which is all rows, takes two.
settle_threads() {
    local default=1 cores
    [[ $VOXLOOP_GOALS != compare ]] || default=2
    JOBS=${JOBS:-$default}
    cores=$(nproc)
    [[ $JOBS == 1 ]] && default=0 || default=$((cores > JOBS ? cores / JOBS : 1))
    THREADS=${THREADS:-$default}
}

settle_preset() {
    read_preset
    last_value init pipeline
    preset_init=${REPLY:-none}
    last_value crops pipeline
    crops=$REPLY
    [[ $crops != 0 ]] || crops=
    [[ $crops =~ ^[0-9]{0,6}$ ]] || refuse "$preset_file: crops = $crops: a whole number, 0 for none"
}

settle_init() {
    init=${INIT:-$preset_init}
    has "$init" "${kind[INIT]}" || { alternatives "${kind[INIT]}" && refuse "$preset_file: init = $init is not known; it is $REPLY"; }
}

# What is trained on, and what the rounds are measured on. Without trials: pairs of halves of the recordings
# themselves; those of 10 000 recordings are enough.
settle_corpora() {
    local demo=
    [[ -n ${DATA-} ]] || demo=$WORK/demo
    train_audio=${DATA:-$demo/train}
    test_audio=${TEST:-${demo:+$demo/test}}
    trials=${TRIALS-}
    [[ -n $trials || -n ${TEST-} || -z $demo ]] || trials=$demo/test.trials
    truth=${TRUTH:-${demo:+$demo/train.utt2spk}}
    evaluated_audio=${test_audio:+test}
    evaluated_audio=${evaluated_audio:-audio}
    evaluated=halves.tar.zst
    [[ -z $trials ]] || evaluated=${test_audio:+test-}embeddings.tar.zst
    most_halves=10000
}

settle_words() {
    set -f
    launch=(${LAUNCH-})
    set +f
    augmentation=()
    [[ -z ${NOISE-} ]] || augmentation+=(--noise "$NOISE")
    [[ -z ${RIR-} ]] || augmentation+=(--rir "$RIR")
    SEED=${SEED:-1}
}

# The rules, and the places that they write to.
settle_rules() {
    local target
    local -a written=()
    case " $work_goals " in
    ' clean ') [[ -z $dry ]] || make_clean_rule ;;
    *' clean '* | *' plan '*' '*) refuse "clean and plan go alone" ;;
    ' plan ') make_plan ;;
    *) make_rules ;;
    esac
    for target in "${targets[@]}"; do
        case $target in
        */* | *.*) written+=("$target") ;;
        report) written+=(report.html) ;;
        esac
    done
    places_of "${written[@]}"
    local places=$REPLY
    check_inputs_outside $places
    claim $places
}

rules_text() {
    shown "$PWD"
    echo "# Written by make for: $work_goals. From $REPLY it can be run by hand: make -f this iter1"
    echo '# Targets are named as in WORK. Every command runs, and decides itself whether there is anything to do.'
    echo 'SHELL := /bin/bash'
    echo ".PHONY: ${targets[*]-}"
    printf %s "$rules"
}

settle() {
    check_names
    check_goals
    check_values
    sort_goals
    [[ -n $work_goals ]] || return 0
    read_methods
    check_methods
    read_table
    find_preset
    settle_work
    read_memory
    compare_with_memory PRESET SET
    settle_preset
    compare_with_memory $remembered
    refuse_differences
    settle_init
    settle_threads
    settle_corpora
    settle_words
    settle_rules
}
