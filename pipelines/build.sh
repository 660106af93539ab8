# Builds the programs in BUILD, from the sources beside this script. A build folder belongs to one source folder: one
# that was copied or moved here with its project is configured again. One that this user may not write is used as it
# is if it is up to date.
source "$VOXLOOP_HOME/pipelines/base.sh"

sources=("$VOXLOOP_HOME"/{CMakeLists.txt,common,cache,stages,tests,pipelines/demo})
stamp=$BUILD/.built # as old as the start of the last build that succeeded

shown "$BUILD"
build_name="BUILD=$REPLY"
log=$BUILD/build.log

# cached KEY: what CMake has remembered in BUILD.
cached() {
    local line
    REPLY=
    while IFS= read -r line; do
        [[ $line != "$1":*=* ]] || REPLY=${line#*=}
    done <"$BUILD/CMakeCache.txt"
}

# A source that is newer than the last build. Folders count too: theirs is the time when a file came or went.
newer_source() {
    local since=$stamp
    [[ -e $since ]] || since=$BUILD/.ninja_log
    if [[ -e $since && -x $BUILD/bin/voxloop-report ]]; then
        REPLY=$(find "${sources[@]}" -newer "$since" -print -quit)
    else
        REPLY='there are no programs yet'
    fi
}

use_as_it_is() {
    local owner
    newer_source
    [[ -n $REPLY ]] || exit 0
    owner=$(stat -c %U -- "$BUILD" 2>/dev/null || echo somebody)
    shown "$REPLY"
    refuse "$build_name belongs to $owner and is not up to date ($REPLY): build it as $owner, or say BUILD=folder of your own"
}

is_writable() {
    local file
    for file in "$BUILD" "$BUILD"/{CMakeCache.txt,.ninja_log,build.ninja,bin}; do
        [[ ! -e $file || -w $file ]] || return 1
    done
}

# Whose build is it? One of other sources, or of the same ones at another place, is begun afresh.
check_identity() {
    if [[ ! -e $BUILD/CMakeCache.txt ]]; then
        [[ -e $log || -z $(find "$BUILD" -mindepth 1 -maxdepth 1 -print -quit) ]] ||
            refuse "$build_name is no build folder and not empty; say BUILD=another folder"
        return
    fi
    cached CMAKE_PROJECT_NAME
    [[ $REPLY == voxloop ]] || refuse "$build_name is a build of ${REPLY:-something else}; say BUILD=another folder"
    cached CMAKE_HOME_DIRECTORY
    local home=$REPLY
    cached CMAKE_CACHEFILE_DIR
    [[ $home -ef $VOXLOOP_HOME && $REPLY -ef $BUILD ]] && return
    say "$build_name was made elsewhere, for $home; configuring it again"
    rm -rf -- "$BUILD/CMakeCache.txt" "$BUILD/CMakeFiles" "$BUILD/build.ninja" "$stamp"
}

# Programs of other sources may be newer than these: Ninja would let them be.
configure() {
    [[ ! -e $BUILD/build.ninja ]] || return 0
    rm -f -- "$BUILD/.ninja_log" "$BUILD/.ninja_deps"
    cmake -S "$VOXLOOP_HOME" -B "$BUILD" -G Ninja >"$log" 2>&1 && return
    cat -- "$log" >&2
    shown "$VOXLOOP_HOME"
    refuse "could not configure $build_name; $REPLY/pipelines/setup.sh installs the packages that may be missing"
}

[[ ! -d $BUILD ]] || is_writable || use_as_it_is
mkdir -p -- "$BUILD" 2>/dev/null || refuse "$build_name cannot be made here; say BUILD=folder that you may write"
is_writable || use_as_it_is
check_identity
configure
begun=$(mktemp "$BUILD/.begun.XXXXXX") || refuse "$build_name cannot be written to; say BUILD=another folder"
trap 'rm -f -- "$begun"' EXIT
cmake --build "$BUILD" >"$log" 2>&1 || {
    cat -- "$log" >&2
    refuse "$build_name: the build failed, see above"
}
mv -f -- "$begun" "$stamp"
