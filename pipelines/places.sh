# What in WORK is the loop's. It writes to a place (audio, iter3, report.html ...) only where nothing was before, and
# writes that down in run.conf; `clean` removes from these places what stages leave there, and nothing else.

# places_of TARGET...: the first part of each, once.
places_of() {
    local target
    REPLY=
    for target in "$@"; do
        target=${target%%/*}
        has "$target" "$REPLY" || REPLY+=" $target"
    done
    REPLY=${REPLY# }
}

# Of WORKs older than run.conf: make kept its recipes beside the artefacts.
is_old_place() {
    compgen -G "$1/.*.recipe" >/dev/null || compgen -G "$1/*/.*.recipe" >/dev/null
}

is_free() {
    [[ ! -e $1 && ! -L $1 ]] || [[ -d $1 && -z $(find "$1/" -mindepth 1 -maxdepth 1 -print -quit) ]]
}

# claim PLACE...: refuses what somebody else has put where the loop would write; the rest becomes the loop's.
claim() {
    local place path
    for place in "$@"; do
        has "$place" "$made_places" && continue
        at "$place"
        path=$REPLY
        if ! is_free "$path" && ! is_old_place "$path"; then
            shown "$path"
            refuse "$REPLY is there and the loop has not made it; name another WORK, or move it away"
        fi
        made_places+="${made_places:+ }$place"
    done
}

# Recordings and lists of the user's must lie outside of what the loop writes, and not around it. PLACE...
check_inputs_outside() {
    local name input work place
    canonical "$WORK"
    work=$REPLY
    for name in DATA TEST TRIALS TRUTH WAVLM NOISE RIR; do
        [[ -n ${!name-} ]] || continue
        canonical "${!name}"
        input=$REPLY
        told "$name"
        [[ $work/ != "${input%/}"/* ]] || refuse "$REPLY holds WORK: what the loop writes would count as recordings; name a WORK outside of it"
        for place in "$@"; do
            [[ $place != demo && $input/ == "$work/$place"/* ]] || link_leads_around "$work/$place" "$input" || continue
            refuse "$REPLY lies in ${work##*/}/$place, which the loop writes; name a WORK elsewhere"
        done
    done
}

link_leads_around() {
    [[ -L $1 ]] && inside "$2" "$1"
}

# ---- clean -------------------------------------------------------------------------------------------------------

# What stages leave in a folder: the artefacts' names, then their records, states and temporaries.
corpus_files='utts.tsv rejects.tsv names.tsv shards.tsv audio-[0-9][0-9][0-9][0-9][0-9].tar.zst'
demo_files='.made.tsv corpus.tsv train.utt2spk test.utt2spk test.trials'
round_files='model.safetensors pretrain.log finetune.log ivector.log warmup.log gate.json embeddings.tar.zst
    test-embeddings.tar.zst halves.tar.zst crops.tar.zst labels.tar.zst clusters.json eval.json scores.txt'
hex='[0-9a-f]'
spoken="$hex$hex$hex$hex$hex$hex$hex$hex$hex$hex.wav"

# remove_from FOLDER PATTERN...: the files that stages leave there, then the folder if nothing else is in it.
remove_from() {
    local folder=$1 pattern file
    shift
    [[ -d $folder && ! -L $folder ]] || return 0
    for pattern in "$@"; do
        for file in "$folder"/$pattern "$folder"/$pattern.json "$folder"/$pattern.resume* "$folder"/.$pattern.* \
            "$folder"/.${pattern%.tar.zst}.part "$folder"/.lock; do
            [[ ! -f $file && ! -L $file ]] || remove "$file"
        done
    done
    remove_folder "$folder"
}

remove() {
    if [[ -n $dry ]]; then
        command_line rm -f -- "$1"
        echo "$REPLY"
    else
        rm -f -- "$1"
    fi
}

remove_folder() {
    [[ -n $dry ]] || rmdir -- "$1" 2>/dev/null || true # something else is in it, or we are
}

clean_place() {
    local place=$1 folder
    at "$1"
    case $place in
    audio | test) remove_from "$REPLY" $corpus_files ;;
    demo)
        for folder in train test; do remove_from "$WORK/demo/$folder" "$spoken"; done
        remove_from "$WORK/demo" $demo_files
        ;;
    ablation | compare | update)
        for folder in "$WORK/$place"/*; do
            if [[ -L $folder ]]; then remove "$folder"; else remove_from "$folder" $round_files $corpus_files; fi
        done
        remove_from "$WORK/$place" report.html
        ;;
    iter* | warmup) remove_from "$REPLY" $round_files ;;
    *) [[ ! -f $REPLY ]] || for folder in "$REPLY" "$REPLY.json"; do remove "$folder"; done ;;
    esac
}

clean() {
    local place
    set +f
    for place in $made_places rules.mk run.conf run.conf.next .checked .lock; do clean_place "$place"; done
    remove_folder "$WORK"
}
