# Reads an INI file as inih does for the stages, and prints a line for each section and key, tab-separated:
#
#     line    section                     awk -f preset.awk <small.ini
#     line    section    key    value
#
# A comment takes its line, or begins at ` ;`. An indented line goes on with the key above it, as inih has it.
BEGIN { OFS = "\t" }
NR == 1 { sub(/^\357\273\277/, "") }
{ sub(/\r$/, ""); indented = key != "" && /^[ \t]/; gsub(/^[ \t]+|[ \t]+$/, "") }
/^[;#]/ || /^$/ { next }
indented { print NR, section, key, $0; next }
/^\[/ && /\]/ {
    sub(/^\[/, ""); sub(/\].*$/, "")
    section = $0; key = ""
    print NR, section
    next
}
{ sub(/[ \t]+;.*$/, "") }
match($0, /[=:]/) {
    key = substr($0, 1, RSTART - 1); value = substr($0, RSTART + 1)
    sub(/[ \t]+$/, "", key); sub(/^[ \t]+/, "", value)
    print NR, section, key, value
    next
}
{ print NR, section, "", $0 }
