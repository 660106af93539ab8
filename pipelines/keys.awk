# Prints the keys of one section of an INI file as `key=value` words: awk -v section="finetune iter2" -f keys.awk FILE
/^[ \t]*([;#]|$)/ { next }
/^[ \t]*\[/ { gsub(/^[ \t]*\[[ \t]*|[ \t]*\].*$/, ""); current = $0; next }
current == section {
    sub(/[ \t]+[;#].*$/, "")
    gsub(/[ \t]*=[ \t]*/, "=")
    gsub(/^[ \t]+|[ \t]+$/, "")
    print
}
