# Reads rounds.table: what each round is made of.
#
# A round's key is its folder in WORK: iter3, ablation/iter1-gate.

table_columns='by labels weights before sections seed'
declare -A table_rows=()    # key, with N or a method's name in it, -> its columns
declare -a table_keys=()    # in the table's order
declare -a round_sections=() # every section that a row names

read_table() {
    local line=0 table round by labels weights before sections seed more
    while read -r table round by labels weights before sections seed more; do
        ((++line))
        [[ -z $table || $table == '#'* ]] && continue
        [[ $seed =~ ^[0-9]{1,3}$ && -z $more && $table =~ ^(loop|ablation|compare)$ ]] ||
            refuse "$VOXLOOP_HOME/pipelines/rounds.table:$line: a row has eight columns, the last a number; see the head of the file"
        add_row "$table" "$round" "$by $labels $weights $before $sections $seed"
    done <"$VOXLOOP_HOME/pipelines/rounds.table"
    for table in "${methods[@]}" warmup; do round_sections+=("$table"); done
}

add_row() {
    local key=$2 method section
    [[ $1 == loop ]] || key=$1/$2
    if [[ $key == *METHOD* ]]; then
        for method in "${methods[@]}"; do
            has "$method" "${METHODS:-${methods[*]}}" || continue
            table_keys+=("${key//METHOD/$method}")
            table_rows[${key//METHOD/$method}]=${3//METHOD/$method}
        done
        return
    fi
    table_keys+=("$key")
    table_rows[$key]=$3
    read -r _ _ _ _ section _ <<<"$3"
    for section in ${section//,/ }; do
        section=${section%\?}
        [[ $section == iter* ]] || has "$section" "${round_sections[*]-}" || round_sections+=("$section")
    done
}

# find_round KEY: its columns into the caller's array `row`, N and P as numbers, references as keys. False: no row
# has that key.
find_round() {
    local key=$1 columns number=0 column value
    local -a values
    if [[ $key =~ ^iter([1-9][0-9]*)(-lmft)?$ ]]; then
        number=${BASH_REMATCH[1]} key=iterN${BASH_REMATCH[2]}
    fi
    columns=${table_rows[$key]-}
    [[ -n $columns ]] || return
    columns=${columns//iterN/iter$number}
    read -r -a values <<<"${columns//iterP/iter$((number - 1))}"
    for column in $table_columns; do
        value=${values[0]} values=("${values[@]:1}")
        [[ $value != - ]] || value=
        [[ $value != iter* || $column == sections ]] || value=$(reference "${1%"${1##*/}"}" "$value")
        row[$column]=$value
    done
}

# reference FOLDER ROUND: the key of a round that a row of the table FOLDER ("ablation/", "" for the loop) names.
reference() {
    local plain=${2%+classes}
    if [[ -n ${table_rows[$1$plain]-} ]]; then echo "$1$2"; else echo "$2"; fi
}

# rounds_of TABLE: the keys of its rows, those on true labels only where there are any.
rounds_of() {
    local key columns
    REPLY=
    for key in "${table_keys[@]}"; do
        read -r _ columns _ <<<"${table_rows[$key]}"
        [[ $key == "$1"/* ]] && [[ $columns != TRUE || -n $truth ]] && REPLY+=" $key"
    done
}

# shown_rows TABLE: its rows for voxloop-report --table: iter0 first; rows that differ in the seed are one.
shown_rows() {
    local key name rows=iter0
    rounds_of "$1"
    for key in $REPLY; do
        name=${key##*/}
        [[ $name != *plain[1-9] ]] || name=${name%[1-9]}\*
        [[ ,$rows, == *",$name,"* ]] || rows+=,$name
    done
    REPLY=$rows
}
