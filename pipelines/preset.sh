# The preset: which file it is, its sections and keys, and what SET puts over them.
#
# Keys of [finetune] reach the stage through --config; those of [finetune X] hold in the rounds whose row in
# rounds.table names the section X, and are passed with --set. [pipeline] is for the generator itself.

stages='demo-corpus prepare import warmup pretrain ivector extract cluster finetune evaluate'
pipeline_keys='init crops'
methods_file=$VOXLOOP_HOME/pipelines/compare.methods
declare -A section_keys=() # "finetune lmft" -> lines of key=value, SET's behind the file's
declare -A set_keys=()     # those of SET alone
declare -a section_order=()

preset_names() {
    local file
    REPLY=
    for file in "$VOXLOOP_HOME"/pipelines/*.ini; do
        file=${file##*/}
        REPLY+=" ${file%.ini}"
    done
    REPLY=${REPLY# }
}

# preset_file: from PRESET, which is a name or a path; preset_name for WORK's.
find_preset() {
    PRESET=${PRESET:-demo}
    preset_names
    if has "$PRESET" "$REPLY" && [[ $PRESET != *' '* ]]; then
        preset_file=$VOXLOOP_HOME/pipelines/$PRESET.ini preset_name=$PRESET
        return
    fi
    local names=$REPLY
    tidy_path "$PRESET"
    PRESET=$REPLY preset_file=$REPLY preset_name=${REPLY##*/}
    preset_name=${preset_name%.ini}
    [[ $PRESET != */* && $PRESET != *.ini || ! -f $preset_file ]] || return 0
    told PRESET
    local value=$REPLY
    nearest "$PRESET" $names
    refuse "$value is not known; the presets are: $names, or the path of a file$REPLY"
}

take_section() {
    [[ -z ${section_keys[$1]+there} ]] || return 0
    section_keys[$1]=
    section_order+=("$1")
}

# read_keys FILE: into section_keys.
read_keys() {
    local line section key value rest
    while IFS= read -r rest; do
        line=${rest%%$'\t'*} rest=${rest#*$'\t'}
        section=${rest%%$'\t'*}
        check_section "$section" "$1:$line"
        [[ $rest == *$'\t'* ]] || continue
        rest=${rest#*$'\t'} key=${rest%%$'\t'*} value=${rest#*$'\t'}
        [[ -n $key ]] || refuse_at "$1:$line" "this is neither [section] nor key = value: $value"
        section_keys[$section]+="$key=$value"$'\n'
        [[ $section != pipeline ]] || check_pipeline_key "$key" "$1:$line"
    done < <(awk -f "$VOXLOOP_HOME/pipelines/preset.awk" <"$1")
}

# refuse_at PLACE SENTENCE
refuse_at() {
    local place
    shown "$1"
    place=$REPLY
    shown "$2"
    refuse "$place: $REPLY"
}

check_pipeline_key() {
    has "$1" "$pipeline_keys" && return
    nearest "$1" $pipeline_keys
    refuse_at "$2" "[pipeline] has no key $1$REPLY; there are $pipeline_keys"
}

# check_section SECTION PLACE: a stage's, or a stage's for some rounds.
check_section() {
    local stage=${1%% *} rounds=${1#* }
    [[ -z $1 || $1 == pipeline ]] || has "$1" "$stages" ||
        { [[ $1 == *' '* ]] && has "$stage" "$stages" && known_round_section "$rounds"; } || {
        nearest "$1" pipeline $stages "${round_sections[@]/#/$stage }" "${round_sections[@]/#/finetune }"
        refuse_at "$2" "section [$1] is not known$REPLY"
    }
    take_section "$1"
}

known_round_section() {
    has "$1" "${round_sections[*]}" && [[ $1 != *' '* ]] || [[ $1 =~ ^iter(0|[1-9][0-9]{0,2})$ ]]
}

# SET="finetune.steps=100 finetune.lmft.margin=0.4": a section's words and the key are joined by dots.
take_set() {
    local item place section key
    set -f
    for item in ${SET-}; do
        shown "$item"
        place="SET: $REPLY"
        [[ $item =~ ^([a-z][A-Za-z0-9_.-]*)\.([a-z][a-z0-9-]*)=(.*)$ ]] ||
            refuse "$place is not section.key=value, such as finetune.steps=100 or finetune.lmft.margin=0.4"
        section=${BASH_REMATCH[1]//./ } key=${BASH_REMATCH[2]}
        check_section "$section" "$place"
        [[ $section != pipeline ]] || check_pipeline_key "$key" "$place"
        section_keys[$section]+="$key=${BASH_REMATCH[3]}"$'\n'
        set_keys[$section]+="$key=${BASH_REMATCH[3]}"$'\n'
    done
    set +f
}

# Methods of the comparison: the sections of compare.methods, in their order.
read_methods() {
    local line
    methods=()
    while IFS= read -r line; do
        [[ $line != '[finetune '*']' ]] || { line=${line#'[finetune '} && methods+=("${line%]}"); }
    done <"$methods_file"
}

read_preset() {
    find_preset
    read_keys "$preset_file"
    read_keys "$methods_file"
    take_set
}

# last_value KEY SECTION...: the value that holds; REPLY is empty where no section has the key.
last_value() {
    local key=$1 section line
    shift
    REPLY=
    for section in "$@"; do
        while IFS= read -r line; do
            [[ $line != "$key="* ]] || REPLY=${line#*=}
        done <<<"${section_keys[$section]-}"
    done
}
