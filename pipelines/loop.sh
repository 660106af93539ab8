# The goals that touch WORK: one run for all of them, at most one per WORK at a time. settle.sh has the rules.
source "$VOXLOOP_HOME/pipelines/settle.sh"

# make, on the rules, and nothing of the outer make's: its flags carry the user's values as code.
run_make() {
    local flags=(--no-builtin-rules --no-print-directory)
    [[ $VOXLOOP_FLAGS != *k* ]] || flags+=(--keep-going)
    [[ $VOXLOOP_FLAGS != *s* ]] || flags+=(--silent)
    [[ $JOBS == 1 ]] || flags+=("--jobs=$JOBS" --output-sync)
    unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES MAKEFILES
    unset $VOXLOOP_VARIABLES VOXLOOP_{GOALS,ON_LINE,IN_ENVIRONMENT,VARIABLES,FLAGS,HOME}
    [[ -n $users_locale ]] && LC_ALL=$users_locale || unset LC_ALL
    exec make "${flags[@]}" "$@" run
}

# From here on nobody else writes to WORK: stages inherit the lock, so that one that outlives a killed make still
# keeps others out.
lock_work() {
    shown "$WORK"
    mkdir -p -- "$WORK" || refuse "WORK=$REPLY: cannot be made; name another WORK"
    { exec 9>>"$WORK/.lock"; } 2>/dev/null || refuse "WORK=$REPLY: cannot be written to; name another WORK"
    flock --nonblock 9 || {
        echo "pipeline: error: another run is at work in WORK=$REPLY; wait for it, or name another WORK" >&2
        exit 75
    }
}

check_there() {
    has_memory && return
    shown "$WORK"
    refuse "WORK=$REPLY: the loop has made nothing there"
}

# Every stage says whether it can obey its settings, whole presets of all rounds, before the first one runs. It is
# asked again when something of it changed.
check_settings() {
    local line sum
    shown "$BIN"
    [[ -x $BIN/voxloop-prepare ]] || refuse "BIN=$REPLY: no programs of voxloop in it"
    sum=$({ printf '%s\n' "${check_lines[@]}" && cat -- "$preset_file" && stat -c '%s %Y' -- "$BIN"/voxloop-*; } | cksum)
    [[ ! -f $WORK/.checked || $(<"$WORK/.checked") != "$sum" ]] || return 0
    for line in "${check_lines[@]}"; do eval "$line" || exit 2; done
    checked_sum=$sum
}

checked_sum=
settle
if [[ $work_goals == clean ]]; then
    check_there
    lock_work
    clean
elif [[ $work_goals == plan ]]; then
    run_make -f - < <(rules_text)
else
    [[ $work_goals != report ]] || check_there
    check_settings
    lock_work
    write_memory
    [[ -z $checked_sum ]] || printf '%s\n' "$checked_sum" | publish "$WORK/.checked"
    rules_text | publish "$WORK/rules.mk"
    run_make -f "$WORK/rules.mk"
fi
