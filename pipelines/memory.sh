# WORK/run.conf: what a WORK is made with and which places in it are the loop's. A call that is silent on a variable
# gets the value from here; one that says otherwise is refused, unless CHANGE names the variable.
#
# What a call says anew waits in WORK/run.conf.next until the inputs have been looked at: the rules then put it in
# the place of run.conf (settled, in rules.sh). Of a WORK in which nothing is settled yet, a silent call gets what
# waits, and another call may say otherwise.
#
# A path that was given as a relative one is kept as seen from WORK, so that a project may be copied or moved.

conf_head='# voxloop: what this folder is made with, and which places in it the loop made. make reads and writes it.'
declare -A memory=() # variable -> value as it stands in the file
bound=               # not empty: something was made with it
made_places=         # blank-separated
differences=         # between the call and the memory, as a sentence
differing=           # and the variables' names

# Control characters and % as %XX.
encoded() {
    local text=$1 c i
    REPLY=$text
    [[ $text == *[$'\x01'-$'\x1f\x7f%']* ]] || return 0
    REPLY=
    for ((i = 0; i < ${#text}; i++)); do
        c=${text:i:1}
        [[ $c != [$'\x01'-$'\x1f\x7f%'] ]] || printf -v c %%%02X "'$c"
        REPLY+=$c
    done
}

decoded() {
    local text=${1//\\/\\\\}
    printf -v REPLY %b "${text//%/\\x}"
}

has_memory() {
    local head=
    [[ -f $WORK/run.conf ]] && IFS= read -r head <"$WORK/run.conf"
    [[ $head == "${conf_head%%:*}:"* ]]
}

# read_conf FILE ARRAY
read_conf() {
    local line name
    local -n values=$2
    [[ -f $1 ]] || return 0
    while IFS= read -r line; do
        name=${line%%=*}
        has "$name" "$remembered made" && [[ $line != "$name" ]] || continue
        decoded "${line#*=}"
        values[$name]=$REPLY
    done <"$1"
}

read_memory() {
    has_memory || return 0
    read_conf "$WORK/run.conf" memory
    made_places=${memory[made]-}
    bound=${memory[PRESET]:+yes}
    [[ -n $bound ]] || read_conf "$WORK/run.conf.next" memory
}

is_path() {
    [[ ${kind[$1]} == path || $1 == PRESET && $2 == */* ]]
}

# recalled NAME VALUE: a value of run.conf, a path as seen from here.
recalled() {
    local path=$2
    REPLY=$path
    is_path "$1" "$path" && [[ $path != /* && -n $path ]] || return 0
    canonical "$WORK/$path"
    path=$REPLY
    IFS= read -r -d '' REPLY < <(realpath -m -z --relative-base=. -- "$path")
    tidy_path "$REPLY"
}

# to_remember NAME: its value as the file has it; one that leads to the same place stays as it is.
to_remember() {
    local now=${!1-}
    recalled "$1" "${memory[$1]-}"
    if [[ -n $now ]] && is_path "$1" "$now" && [[ $now -ef $REPLY ]]; then
        REPLY=${memory[$1]}
        return
    fi
    REPLY=$now
    is_path "$1" "$now" && [[ -n $now && $now != /* ]] || return 0
    relative "$now" "$WORK"
    [[ $REPLY == */* || $1 != PRESET ]] || REPLY=./$REPLY
}

# same NAME BEFORE: whether the call says what is remembered. A path that is not there any more has been moved.
same() {
    local now=${!1-} before=$2
    case $1 in
    SEED) before=${before:-1} ;;
    PRESET) before=${before:-demo} ;;
    INIT) before=${before:-${preset_init-}} now=${now:-${preset_init-}} ;;
    esac
    [[ $now == "$before" ]] && return
    is_path "$1" "$before" && [[ -n $now && -n $before ]] && { [[ $now -ef $before ]] || ! [[ -e $before ]]; }
}

# compare_with_memory NAME...: where the call is silent the memory speaks; what they say differently is collected.
compare_with_memory() {
    local name
    for name in "$@"; do
        if ! given "$name"; then
            recalled "$name" "${memory[$name]-}"
            [[ -z $REPLY ]] || printf -v "$name" %s "$REPLY"
        elif [[ -n $bound ]]; then
            recalled "$name" "${memory[$name]-}"
            same "$name" "$REPLY" || has "$name" "${CHANGE-}" || add_difference "$name" "$REPLY"
        fi
    done
}

# add_difference NAME BEFORE
add_difference() {
    local before
    has "$1" "$differing" && return
    shown "$2"
    before="${REPLY:+"$1=$REPLY"}"
    told "$1"
    differences+="${differences:+, }${before:-no $1} (not ${REPLY#"$1="})"
    differing+=" $1"
}

refuse_differences() {
    [[ -n $differences ]] || return 0
    shown "$WORK"
    differing=${differing# }
    refuse "WORK=$REPLY was made with $differences; name another WORK, or say CHANGE=${differing// /,} to go on in this one"
}

# conf_text ARRAY: a run.conf with the values of the array and the places as they are now.
conf_text() {
    local -n values=$1
    local name
    echo "$conf_head"
    echo '# Another value on the command line needs CHANGE=NAME. Paths are as seen from this folder.'
    for name in $remembered; do
        encoded "${values[$name]-}"
        [[ -z $REPLY ]] || echo "$name=$REPLY"
    done
    echo '# `make clean` removes in these what stages leave there, and nothing else.'
    echo "made=$made_places"
}

write_memory() {
    local -A now=()
    local name
    for name in $remembered; do
        to_remember "$name"
        now[$name]=$REPLY
    done
    [[ -n $bound ]] || memory=()
    conf_text memory | publish "$WORK/run.conf"
    conf_text now | publish "$WORK/run.conf.next"
    ! cmp -s -- "$WORK/run.conf.next" "$WORK/run.conf" || rm -f -- "$WORK/run.conf.next"
}

# publish PATH: standard input becomes that file, whole; one that holds the same stays as it is.
publish() {
    local temporary
    temporary=$(mktemp -- "$1.XXXXXX") && cat >"$temporary" && chmod 644 -- "$temporary" || refuse "${1@Q} cannot be written"
    if cmp -s -- "$temporary" "$1"; then
        rm -f -- "$temporary"
    else
        mv -f -- "$temporary" "$1"
    fi
}
