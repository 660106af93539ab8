# Whether the user's words can be obeyed; one line and exit status 2 if not. Before anything is built or made.
source "$VOXLOOP_HOME/pipelines/settle.sh"
settle
