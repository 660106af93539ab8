# Makes the rules: explicit ones, a rule for each artefact, targets named as in WORK, commands as they are run.
#
# Every target is phony: its command runs each time and decides itself whether anything is to be done, which takes
# a stage some milliseconds. So make needs nothing from these names but the order, and WORK may be called anything.

rules=                   # the text
declare -a targets=()
declare -A made_round=()
declare -A row=()        # of the round that is being made; see find_round
round=
declare -A check_lines=() # of each stage and set of settings, the command that says whether they can be obeyed

# ---- rules -------------------------------------------------------------------------------------------------------

# at NAME: its path, as the commands name it.
at() {
    REPLY=$WORK/$1
}

# rule TARGET NEEDS [WORD...]: TARGET, by the command that the words are. More lines may follow.
rule() {
    local target=$1 needs=$2
    shift 2
    targets+=("$target")
    rules+=$'\n'"$target:${needs:+ ${needs# }}"$'\n'
    [[ $# == 0 ]] || recipe "$target" "$@"
}

recipe() {
    local target=$1
    shift
    if [[ -z $dry && $target == */* ]]; then
        at "${target%/*}"
        add_line @ mkdir -p "$REPLY"
    fi
    [[ -n $dry || $JOBS == 1 || -e $WORK/$target ]] || add_line @ echo "--- $target"
    add_line "$quiet" "$@"
}

# add_line PREFIX WORD...: a command more for the last rule.
add_line() {
    local prefix=$1
    shift
    command_line "$@"
    append_line "$prefix${REPLY//\$/\$\$}"
}

append_line() {
    rules+=$'\t'$1$'\n'
}

# ---- stages ------------------------------------------------------------------------------------------------------

is_training() {
    [[ $1 == pretrain || $1 == finetune || $1 == warmup ]]
}

# Sections of a stage that hold in this round, the later ones win.
sections_of() {
    local section
    sections=("$1")
    local named=${row[sections]-}
    for section in ${named//,/ }; do sections+=("$1 ${section%\?}"); done
    [[ -z $round || -z ${WARMUP-} ]] || sections+=("$1 warmup")
}

# What --config does not tell the stage: SET's keys of its section, then those of its sections for this round.
settings_of() {
    local section
    local -a sections
    sections_of "$1"
    settings=()
    add_settings "${set_keys[$1]-}"
    for section in "${sections[@]:1}"; do add_settings "${section_keys[$section]-}"; done
}

# add_settings LINES: each key=value of them.
add_settings() {
    local line
    while IFS= read -r line; do
        [[ -z $line ]] || settings+=(--set "$line")
    done <<<"$1"
}

# The demo corpus is the same whatever the loop's seed.
seed_of() {
    REPLY=1
    [[ $1 == demo-corpus ]] || REPLY=$((SEED + ${row[seed]:-0}))
}

# Whether the user asked for this stage of the round again (iter2-cluster), or for one before it.
is_forced() {
    local asked
    for asked in $VOXLOOP_GOALS; do
        [[ -n $round && $asked == "$round"-* ]] || continue
        case ${asked#"$round"-}:$1 in
        lmft:*) ;;
        pretrain:* | ivector:* | finetune:* | *:evaluate) return ;;
        extract:extract | extract:cluster | cluster:cluster) return ;;
        esac
    done
    return 1
}

# stage TARGET NEEDS STAGE OPTION...: TARGET by voxloop-STAGE.
stage() {
    local target=$1 needs=$2 name=$3
    local -a command=() settings
    shift 3
    ! is_training "$name" || command+=("${launch[@]}")
    command+=("$BIN/voxloop-$name" "$@")
    ! is_training "$name" || command+=("${augmentation[@]}")
    settings_of "$name"
    seed_of "$name"
    command+=(--config "$preset_file" --seed "$REPLY" --threads "$THREADS" "${settings[@]}")
    is_forced "$name" || command+=(--if-changed)
    command_line "$BIN/voxloop-$name" "$@" --config "$preset_file" "${settings[@]}" --check
    check_lines["$name ${settings[*]}"]=$REPLY
    rule "$target" "$needs" "${command[@]}"
}

# ---- corpora and weights -----------------------------------------------------------------------------------------

# prepare FOLDER PATH [OPTION...]: recordings to shards. Those of the demo corpus are spoken first.
prepare() {
    local needs=
    [[ $2 != "$WORK/demo"/* ]] || needs=demo/corpus.tsv
    at "$1"
    stage "$1/utts.tsv" "$needs" prepare --audio "$2" "${@:3}" --out "$REPLY"
}

make_corpora() {
    if [[ -z ${DATA-} ]]; then
        at demo
        stage demo/corpus.tsv '' demo-corpus --out "$REPLY"
    fi
    prepare audio "$train_audio"
    # A list of trials may name any recording: copies stay.
    [[ -z $test_audio ]] || prepare test "$test_audio" --copies keep
}

# What the user gave, looked at before hours are spent on it: right after the recordings are prepared.
check_inputs() {
    local needs="audio/utts.tsv${test_audio:+ test/utts.tsv}${start_needs:+ $start_needs}"
    local -a options=()
    [[ -z ${TRIALS-} ]] || options+=(--trials "$TRIALS")
    [[ -z ${TRUTH-} ]] || options+=(--truth "$TRUTH")
    [[ -z $start ]] || options+=(--weights "$start")
    options+=("${augmentation[@]}")
    ready=$needs
    [[ ${#options[@]} -gt 0 ]] || return 0
    [[ -z $test_audio ]] || options=(--test "$WORK/test" "${options[@]}")
    ready=checked.json
    stage checked.json "$needs" check --audio "$WORK/audio" "${options[@]}" --out "$WORK/checked.json"
}

# What must be there before anything is trained. From here on WORK is what this call says (memory.sh).
settle_memory() {
    local waits conf
    rule settled "$ready"
    ready=settled
    [[ -z $dry ]] || return 0
    quoted "$WORK/run.conf.next"
    waits=${REPLY//\$/\$\$}
    quoted "$WORK/run.conf"
    conf=${REPLY//\$/\$\$}
    append_line "@! test -e $waits || mv -f $waits $conf"
}

# What rounds start from: weights of the user's, imported unless they are safetensors ...
take_weights() {
    start= start_needs=
    [[ -n ${WAVLM-} ]] || return 0
    start=$WAVLM
    [[ $WAVLM != *.safetensors ]] || return 0
    at wavlm.safetensors
    start=$REPLY start_needs=wavlm.safetensors
    stage wavlm.safetensors '' import --model "$WAVLM" --out "$start"
}

# ... or the warm-up's.
warm_up() {
    [[ -n ${WARMUP-} ]] || return 0
    at warmup/model.safetensors
    start=$REPLY start_needs=warmup/model.safetensors
    stage warmup/model.safetensors "$ready" warmup --audio "$WORK/audio" --out "$start"
}

# ---- a round -----------------------------------------------------------------------------------------------------

# make_round KEY: its rules, behind those of the rounds that it needs.
make_round() {
    local round=$1 other
    local -A row=()
    [[ -z ${made_round[$1]-} ]] || return 0
    made_round[$1]=1
    find_round "$1" || refuse "rounds.table has no round $1"
    for other in "${row[labels]}" "${row[weights]%+classes}" "${row[before]}"; do
        [[ -z $other || $other == TRUE || $other == start ]] || make_round "$other"
    done
    check_sections
    train
    extract
    cluster
    evaluate
    finish_round
}

check_sections() {
    local section
    for section in ${row[sections]//,/ }; do
        [[ $section == *\? || -n ${section_keys["finetune $section"]+there} ]] ||
            refuse "$preset_file has no section [finetune $section], which $round needs"
    done
}

# value STAGE KEY: what holds in this round.
value() {
    local -a sections
    sections_of "$1"
    last_value "$2" "${sections[@]}"
}

# has_objective NAME
has_objective() {
    value finetune objectives
    [[ ,$REPLY, == *",$1,"* || ,$REPLY, == *",$1="* ]]
}

train() {
    local by=${row[by]}
    if [[ $by == first ]]; then by=$([[ $init == ivector ]] && echo ivector || echo pretrain); fi
    if [[ $by == finetune ]]; then
        finetune
    else
        stage "$round/model.safetensors" "$ready" "$by" --audio "$WORK/audio" --out "$WORK/$round/model.safetensors"
    fi
}

finetune() {
    local needs=$ready labels=$truth
    local -a options=()
    if [[ ${row[labels]} != TRUE ]]; then
        needs+=" ${row[labels]}/labels.tar.zst"
        at "${row[labels]}/labels.tar.zst"
        labels=$REPLY
    fi
    add_weights
    add_teacher
    stage "$round/model.safetensors" "$needs" finetune --audio "$WORK/audio" --labels "$labels" "${options[@]}" \
        --out "$WORK/$round/model.safetensors"
}

# Adds to the caller's `options` and `needs`.
add_weights() {
    local from=${row[weights]%+classes}
    case $from in
    '') return ;;
    start)
        [[ -z $start ]] || options+=(--init "$start")
        [[ -z $start_needs ]] || needs+=" $start_needs"
        [[ -z $start ]] || return 0
        case $init in
        pretrain) from=iter0 ;;
        previous) from=${row[labels]} ;;
        *) return ;;
        esac
        ;;
    esac
    needs+=" $from/model.safetensors"
    at "$from/model.safetensors"
    options+=(--init "$REPLY")
    [[ ${row[weights]} != *+classes ]] || options+=(--keep-classes)
}

# i-vectors are the teacher.
add_teacher() {
    has_objective teacher || return 0
    make_round compare/iter0-ivector
    needs+=' compare/iter0-ivector/embeddings.tar.zst'
    at compare/iter0-ivector/embeddings.tar.zst
    options+=(--teacher "$REPLY")
}

# one_extraction AUDIO NAME OPTION...
one_extraction() {
    local audio=$1 name=$2
    shift 2
    stage "$round/$name" "$audio/utts.tsv $round/model.safetensors" extract --audio "$WORK/$audio" \
        --model "$WORK/$round/model.safetensors" --out "$WORK/$round/$name" "$@"
}

extract() {
    one_extraction audio embeddings.tar.zst
    [[ -z $test_audio ]] || one_extraction test test-embeddings.tar.zst
    if [[ -z $trials ]]; then
        one_extraction "$evaluated_audio" halves.tar.zst --halves "$most_halves"
    elif [[ -n $crops ]]; then
        one_extraction "$evaluated_audio" crops.tar.zst --crops "$crops"
    fi
}

cluster() {
    local folder=$WORK/$round needs=$round/embeddings.tar.zst
    local -a options=()
    if [[ -n ${row[before]} ]]; then
        needs+=" ${row[before]}/labels.tar.zst"
        at "${row[before]}/labels.tar.zst"
        options+=(--previous "$REPLY")
    fi
    [[ -z $truth ]] || options+=(--truth "$truth")
    stage "$round/labels.tar.zst" "$needs" cluster --embeddings "$folder/embeddings.tar.zst" \
        --out "$folder/labels.tar.zst" --report "$folder/clusters.json" "${options[@]}"
}

evaluate() {
    local folder=$WORK/$round needs=$round/$evaluated
    local -a options=(--embeddings "$folder/$evaluated" --audio "$WORK/$evaluated_audio")
    if [[ -n $trials ]]; then
        options+=(--trials "$trials")
    else
        options+=(--label-free)
        [[ -z ${SESSION-} ]] || options+=(--session "$SESSION")
    fi
    add_cohort
    if [[ -n $trials && -n $crops ]]; then
        options+=(--crop-embeddings "$folder/crops.tar.zst")
        needs+=" $round/crops.tar.zst"
    fi
    ! has_objective pair || options+=(--pair-head "$folder/model.safetensors")
    stage "$round/eval.json" "$needs" evaluate "${options[@]}" --scores "$folder/scores.txt" --report "$folder/eval.json"
}

# Normalised scores take the round's own pseudo-speakers as their cohort.
add_cohort() {
    value evaluate norm
    [[ -n $REPLY && $REPLY != none ]] || return 0
    needs+=" $round/embeddings.tar.zst $round/labels.tar.zst"
    options+=(--cohort "$folder/embeddings.tar.zst" --cohort-labels "$folder/labels.tar.zst")
}

# The round's own goal: its line, behind those of the loop's rounds before it.
finish_round() {
    local earlier=
    [[ $round == */* ]] || earlier=${row[before]}
    at "$round"
    rule "$round" "$earlier $round/labels.tar.zst $round/eval.json"
    add_line "$quiet" "$BIN/voxloop-report" --work "${REPLY%/*}" --quiet --line "${round##*/}"
}

# ---- goals -------------------------------------------------------------------------------------------------------

# make_table TABLE OPTION...: all its rounds, then the table.
make_table() {
    local table=$1 key keys rows
    shift
    rounds_of "$table"
    keys=$REPLY
    shown_rows "$table"
    rows=$REPLY
    for key in iter0 $keys; do make_round "$key"; done
    rule "$table" "iter0$keys"
    add_line @ ln -sfn ../iter0 "$WORK/$table/iter0"
    add_line "$quiet" "$BIN/voxloop-report" --work "$WORK/$table" --quiet "$@" --table "$rows"
}

make_goal() {
    case $1 in
    ablation) make_table ablation ;;
    compare) make_table compare --out "$WORK/compare/report.html" ${truth:+--truth "$truth"} ;;
    report)
        rule report "$round_goals" "$BIN/voxloop-report" --work "$WORK" --out "$WORK/report.html" ${truth:+--truth "$truth"}
        ;;
    *)
        local n=${1#iter} key
        n=${n%%-*}
        for ((key = 0; key <= n; key++)); do make_round "iter$key"; done
        [[ $1 != *-lmft ]] || make_round "$1"
        [[ $1 == *-lmft || $1 != *-* ]] || rule "$1" "${1%%-*}"
        ;;
    esac
}

# What the last round asked for has left, and what to do next.
make_last_line() {
    local last
    [[ -n $round_goals ]] || return 0
    last=${round_goals##* }
    shown "$WORK"
    add_line @ echo "model: $REPLY/$last/model.safetensors; every round on one page: make -f Makefile.pipeline report WORK=$REPLY"
}

# make_rules: all that the user asked for, into `rules`.
make_rules() {
    local goal
    rule run "$work_goals"
    make_last_line
    if [[ $work_goals != report ]]; then
        make_corpora
        take_weights
        check_inputs
        settle_memory
        warm_up
    fi
    for goal in $work_goals; do make_goal "$goal"; done
}

# ---- clean, as make -n shows it, and the plan --------------------------------------------------------------------

make_clean_rule() {
    local command
    rule clean ''
    while IFS= read -r command; do append_line "${command//\$/\$\$}"; done < <(clean)
}

# What the whole would take, before anybody pays for it: for UTTS and HOURS, or the audio that is prepared.
make_plan() {
    local utts=${UTTS-} hours=${HOURS-} disk classes table=$WORK/audio/utts.tsv
    if [[ -f $table ]]; then
        utts=${utts:-$(tail -n +2 <"$table" | wc -l)}
        hours=${hours:-$(awk -F '\t' 'NR > 1 { n += $3 } END { printf "%.3f", n / 16000 / 3600 }' <"$table")}
    fi
    [[ -n $utts && -n $hours ]] || refuse 'plan needs UTTS=number HOURS=number, or a WORK whose audio is prepared'
    # Shards of 16-bit audio take about 0.8 of its size.
    disk=$(awk -v hours="$hours" 'BEGIN { printf "%.1f", hours * 3600 * 32000 * 0.8 / 2^30 }')
    value cluster clusters
    [[ $REPLY == auto ]] || classes=$REPLY
    rule run plan
    rule plan '' echo "plan: $utts utterances, $hours hours; prepared audio takes about $disk GiB of disk"
    add_line @ echo '--- once'
    plan_stage pretrain --audio -
    add_line @ echo '--- in each round: training (not in round 0), extraction (less than an epoch of training), clusters'
    plan_stage finetune --audio - --labels - ${WAVLM:+--init "$WAVLM"} ${classes:+--plan-classes "$classes"}
    plan_stage cluster --embeddings - --report -
    add_line @ echo '--- the commands: make -n iter3 with the same variables'
}

# plan_stage STAGE OPTION...
plan_stage() {
    local name=$1
    local -a settings
    shift
    settings_of "$name"
    add_line "$quiet" "$BIN/voxloop-$name" --plan "$utts" "$@" --out - --config "$preset_file" --seed "$SEED" \
        --threads "$THREADS" "${settings[@]}"
}
