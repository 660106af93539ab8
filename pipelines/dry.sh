# make -n: the rules into a temporary file. Prints its name, or, with status 2, the sentence that refuses.
source "$VOXLOOP_HOME/pipelines/settle.sh"
refuse() {
    printf %s "$1"
    exit 2
}
settle
file=$(mktemp) || refuse 'there is no place for a temporary file'
rules_text >"$file"
printf %s "$file"
