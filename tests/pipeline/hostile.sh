#!/bin/bash
# What the user says is data. Names from hell in every variable that is a path, with and without -n: either the
# stages get exactly that text, or one line refuses it; nothing of it is ever executed.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1

names=('a(1)' 'a[1]' "it's" 'a&b' 'a;touch canary;b' 'run-10:30' 'lr=0.1' 'a#1' '100%' '%s%n' '~tilde' '$(shell touch canary)'
    '${shell touch canary}' '$(error boom)' '$(touch canary)' '`touch canary`' 'a b' ' blank in front' 'blank behind ' '*' '?x'
    $'new\nline' $'new\n\ttouch canary\n' $'tab\tx' $'escape\e[31m' $'return\r' $'not utf-8 \xff\xfe' 'é' '"quoted"' 'back\slash'
    'end\' '{a,b}' '-dash' '--if-changed' '$HOME' '$$' '!x' 'a|b>c' '@x' '+x' 'a,b' '<<<' '>>>')

# Stages that write down what they were told and leave what they were asked for.
mkdir stub
for stage in prepare ivector pretrain finetune extract cluster evaluate report import demo-corpus check; do
    cat >"stub/voxloop-$stage" <<'STUB'
#!/bin/bash
[ "${*: -1}" != --check ] || exit 0
printf '%s\0' "${0##*/}" "$@" >>"$VOXLOOP_TEST_LOG"
while [ $# -gt 0 ]; do
    case $1 in
    --out) if [[ ${0##*/} == *-prepare ]]; then mkdir -p -- "$2" && : >"$2/utts.tsv"; else : >"$2"; fi ;;
    --report | --scores) : >"$2" ;;
    esac
    shift
done
STUB
    chmod +x "stub/voxloop-$stage"
done
export VOXLOOP_TEST_LOG=$scratch/log
run() { make -f "$source_folder/Makefile.pipeline" BIN="$scratch/stub" PRESET=smoke INIT=ivector "$@"; }

no_canary() {
    [ -z "$(find "$scratch" -name 'canary*')" ] || fail "something was executed: $*"
}

# told OPTION VALUE: whether a stage was given just this.
told() {
    local -a words
    local i
    mapfile -d '' words <log
    for ((i = 0; i + 1 < ${#words[@]}; i++)); do
        [ "${words[i]}" != "$1" ] || [ "${words[i + 1]}" != "$2" ] || return 0
    done
    return 1
}

i=0
for name in "${names[@]}"; do
    shown=$(printf %q "$name")
    rm -rf d w log
    mkdir -p "d/$name"
    touch "d/$name/x.wav" "d/$name/list"
    variables=(DATA="d/$name" TEST="d/$name/" TRIALS="d/$name/list" TRUTH="d/$name/list" NOISE="d/$name" RIR="d/$name"
        WAVLM="d/$name/list" WORK="w/$name")
    run -n iter0 "${variables[@]}" >output 2>&1 || { cat output >&2; fail "make -n with $shown"; }
    no_canary "-n, $shown"
    [ ! -e w ] || fail "make -n made WORK, $shown"
    grep -q voxloop-evaluate output || fail "make -n prints no commands, $shown"
    run iter1 "${variables[@]}" >output 2>&1 || { cat output >&2; fail "make with $shown"; }
    no_canary "$shown"
    for option in --audio=d/ --noise=d/ --rir=d/; do
        told "${option%%=*}" "d/$name" || { tr '\0' '\n' <log >&2; fail "${option%%=*} is not $shown"; }
    done
    told --trials "d/$name/list" || fail "--trials is not $shown"
    told --truth "d/$name/list" || fail "--truth is not $shown"
    told --model "d/$name/list" || fail "--model is not $shown"
    told --out "w/$name/iter1/model.safetensors" || fail "--out is not in $shown"
    ((i++ % 3 == 0)) || continue # the same from the memory of WORK
    mv log before
    run iter1 WORK="w/$name/" >output 2>&1 || { cat output >&2; fail "WORK=$shown does not remember"; }
    cmp -s before log || { diff <(tr '\0' '\n' <before) <(tr '\0' '\n' <log) >&2; fail "WORK=$shown remembers something else"; }
    run clean WORK="w/$name" >output 2>&1 || { cat output >&2; fail "clean with WORK=$shown"; }
    [ ! -e "w/$name" ] || { find w >&2; fail "clean leaves something of WORK=$shown"; }
    no_canary "again, $shown"
done

# The same from the environment, where make would expand it too.
for name in '$(shell touch canary)' '`touch canary`' "it's; touch canary"; do
    rm -rf w log
    mkdir -p "d/$name"
    DATA=d/$name WORK=w/$name run iter0 >output 2>&1 || { cat output >&2; fail "DATA=$name from the environment"; }
    told --audio "d/$name" || fail "--audio is not $name from the environment"
    no_canary "environment, $name"
done

# What is not a path is looked at and refused, in one line that names it.
rm -rf w
for evil in '$(shell touch canary)' '`touch canary`' '1;touch canary' 'a b;touch canary' $'1\n\ttouch canary' '1,$(touch canary)' "'"; do
    for variable in JOBS THREADS SEED UTTS HOURS INIT WARMUP PRESET METHODS UPDATE CHANGE SET; do
        flag=$([ $((i++ % 2)) = 0 ] && echo -n || echo -s)
        expect_one_line 2 "$variable" run $flag compare DATA=d WORK=w "$variable=$evil"
        no_canary "$flag $variable=$evil"
    done
    for goal in "iter1$evil" "$evil" "iter1-$evil"; do
        expect 2 'error|rule|not known' run "$goal" DATA=d WORK=w
        expect 2 'error|rule|not known' run -n "$goal" DATA=d WORK=w
        no_canary "goal $goal"
    done
    expect_one_line 2 'no variable' run iter0 DATA=d WORK=w "THREAD=$evil"
    no_canary "THREAD=$evil"
done
[ ! -e w ] || fail "a refused call made WORK"

# LAUNCH is a command, but no shell reads it. Values of a preset are words.
run iter0 DATA=d WORK=w/launch LAUNCH='env LAUNCHED=$(touch canary) ;' >output 2>&1
no_canary LAUNCH
cat "$source_folder/pipelines/smoke.ini" - >evil.ini <<'INI'

[finetune iter1]
architecture = $(shell touch canary)`touch canary`'; touch canary; '
INI
run iter1 DATA=d WORK=w/preset PRESET=evil.ini >output 2>&1 || { cat output >&2; fail "a preset with quotes"; }
told --set "architecture=\$(shell touch canary)\`touch canary\`'; touch canary; '" || fail "the preset's value did not arrive"
no_canary "preset"
echo "hostile: fine, ${#names[@]} names"
