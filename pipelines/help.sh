# The help text, with what is true here and now.
source "$VOXLOOP_HOME/pipelines/settle.sh"
VOXLOOP_GOALS=report
sort_goals
read_methods
read_table
find_preset
settle_work
text=$(<"$VOXLOOP_HOME/pipelines/help.txt")
preset_names
text=${text//@PRESETS@/"$REPLY"}
shown "$WORK"
printf '%s\n' "${text//@WORK@/"$REPLY"}"
