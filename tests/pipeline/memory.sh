#!/bin/bash
# A WORK belongs to what made it: it remembers its variables, a call that says otherwise is refused, and where it
# lies or how it is spelt repeats nothing.
source "$(dirname "$0")/../support/shell.sh"
cd "$scratch" || exit 1
tones recordings 300
mkdir others && cp recordings/s0-* others
run() { pipeline iter0 "$@"; }
stages() { grep -c ': done ' log; }
fine() { run "$@" >log 2>&1 || { cat log >&2; fail "failed: $*"; }; }
nothing_again() { # WHAT ARGUMENT...
    fine "${@:2}"
    [ "$(stages)" = 0 ] || { cat log >&2; fail "$1 repeats $(stages) stages"; }
}

fine PRESET=smoke INIT=ivector DATA=recordings WORK=w SET='extract.batch=8'
[ "$(stages)" = 6 ] || { cat log >&2; fail "$(stages) stages"; }

# ---- silence -----------------------------------------------------------------------------------------------------

nothing_again 'a call that only names WORK' WORK=w
nothing_again 'saying the same again' WORK=w PRESET=smoke DATA=recordings/ INIT=ivector SEED=1
nothing_again 'DATA as an absolute path' WORK=w DATA="$scratch/recordings"
nothing_again 'DATA through a link' WORK=w DATA="$(ln -s recordings link && echo link)"
nothing_again 'threads' WORK=w THREADS=1
expect 0 'voxloop-prepare --audio recordings .*smoke.ini' pipeline -n iter1 WORK=w

# ---- other words -------------------------------------------------------------------------------------------------

cp w/run.conf before
expect 2 'WORK=w was made with DATA=recordings \(not others\); name another WORK, or say CHANGE=DATA' run WORK=w DATA=others
expect 2 'PRESET=smoke \(not demo\)' run WORK=w PRESET=demo
expect 2 'SEED=1 \(not 2\)' run WORK=w SEED=2
expect 2 'no TRUTH \(not before\)' run WORK=w TRUTH=before
expect 2 'INIT=ivector \(not none\)' run WORK=w INIT=none
expect 2 'SET=extract.batch=8 \(not extract.batch=9\)' run WORK=w SET=extract.batch=9
expect 2 'no NOISE \(not others\), no RIR \(not others\); .*CHANGE=NOISE,RIR' run WORK=w NOISE=others RIR=others
expect 2 'DATA=recordings \(not others\)' pipeline -n iter0 WORK=w DATA=others
expect 2 'DATA=recordings \(not others\)' pipeline report WORK=w DATA=others
DATA=others expect 2 'DATA=recordings \(not others \(from the environment\)\)' run WORK=w
cmp -s w/run.conf before || fail "a refused call changed the memory"
nothing_again 'a refused call' WORK=w

expect 2 'DATA= is empty' run WORK=w DATA=
expect 2 'data= is no variable of this Makefile \(did you mean DATA\?\)' run WORK=w data=others
expect 2 'PRESETS= is no variable of this Makefile \(did you mean PRESET\?\)' run WORK=w PRESETS=demo
expect 2 'CHANGE=COLOUR: a WORK remembers' run WORK=w CHANGE=COLOUR

# ---- presets -----------------------------------------------------------------------------------------------------

printf '[pretrian]\nsteps = 8\n' >typo.ini
expect 2 'typo.ini:1: section \[pretrian\] is not known \(did you mean pretrain\?\)' run WORK=w2 DATA=recordings PRESET=typo.ini
printf '[finetune lmtf]\nsteps = 8\n' >typo.ini
expect 2 'section \[finetune lmtf\] is not known \(did you mean finetune lmft\?\)' run WORK=w2 DATA=recordings PRESET=typo.ini
printf '\n[pipeline]\ncrop = 5\n' >typo.ini
expect 2 'typo.ini:3: \[pipeline\] has no key crop \(did you mean crops\?\)' run WORK=w2 DATA=recordings PRESET=typo.ini
printf '[extract]\nbatch 8\n' >typo.ini
expect 2 'typo.ini:2: this is neither' run WORK=w2 DATA=recordings PRESET=typo.ini
expect 2 'SET: finetune.steps is not section.key=value' run WORK=w2 DATA=recordings SET=finetune.steps
expect 2 'SET: fintune.steps=1: section \[fintune\] is not known' run WORK=w2 DATA=recordings SET=fintune.steps=1
[ ! -e w2 ] || fail "a refused preset made WORK"
expect 0 'voxloop-finetune .* --set steps=5 --set steps=4 .*--set margin=0.4' \
    pipeline -n iter1-lmft WORK=w2 DATA=recordings PRESET=smoke SET='finetune.steps=5 finetune.lmft.margin=0.5 finetune.lmft.margin=0.4'

# ---- where it lies -----------------------------------------------------------------------------------------------

mv w v
nothing_again 'WORK under another name' WORK=v
nothing_again 'a slash behind WORK' WORK=v/ DATA=recordings
nothing_again 'WORK as an absolute path' WORK="$scratch/v"
HOME=$scratch nothing_again 'WORK under the home folder' WORK='~/v'
(cd v && nothing_again 'WORK=.' WORK=.) || exit 1
mkdir project && mv v recordings project && cp -r project copy
(cd copy && nothing_again 'a copied project' WORK=v && nothing_again 'a copied project' WORK=v DATA=recordings) || exit 1
[ "$(sed -n 's/^DATA=//p' copy/v/run.conf)" = ../recordings ] || fail "run.conf leads out of the copy"
mv copy moved
(cd moved && nothing_again 'a moved project' WORK=v) || exit 1

# ---- changes -----------------------------------------------------------------------------------------------------

cd moved || exit 1
(cd recordings && ls) | sed 's/\(s.\)-.*/& \1/' >truth
fine WORK=v TRUTH=truth CHANGE=TRUTH
grep -q '^iter0: .*purity' log || { cat log >&2; fail "CHANGE does not let TRUTH through"; }
[ "$(stages)" = 2 ] || { cat log >&2; fail "TRUTH runs $(stages) stages, not check and cluster"; }
nothing_again 'the changed memory' WORK=v
grep -q '^iter0: .*purity' log || fail "TRUTH is not remembered"

# What did not come to anything binds nobody.
echo words >words
expect 2 'words' pipeline iter0 WORK=u DATA=words PRESET=smoke INIT=ivector
fine WORK=u DATA=recordings PRESET=smoke INIT=ivector
echo "memory: fine"
