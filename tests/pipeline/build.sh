#!/bin/bash
# A build folder belongs to one source folder, and to one user. The project here is a small one with the same scripts.
source "$(dirname "$0")/../support/shell.sh"
needs cmake ninja
cd "$scratch" || exit 1
chmod 755 "$scratch"

mkdir -p first/{common,cache,stages,tests,pipelines/demo}
cp "$source_folder/Makefile.pipeline" first/
cp "$source_folder"/pipelines/*.sh first/pipelines/
cat >first/CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.18)
project(voxloop LANGUAGES C)
foreach(stage report prepare)
  add_executable(voxloop-${stage} stages/${stage}.c)
  set_target_properties(voxloop-${stage} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endforeach()
CMAKE
for stage in report prepare; do printf '#include <stdio.h>\nint main(void) { return puts("first") < 0; }\n' >first/stages/$stage.c; done
build() { make -f "$1/Makefile.pipeline" build "${@:2}"; }

build first >log 2>&1 || { cat log >&2; fail "the first build failed"; }
[ ! -s log ] || { cat log >&2; fail "a good build says something"; }
[ "$(first/build/bin/voxloop-report)" = first ] || fail "nothing was built"
build first || fail "the same again"

# A copy with its build/ builds its own sources, whether the original is there or not.
cp -a first 'a copy'
sed -i 's/first/second/' 'a copy/stages/report.c'
expect 0 'a copy/build was made elsewhere, for .*/first' build 'a copy'
[ "$('a copy/build/bin/voxloop-report')" = second ] || fail "the copy built other sources"
[ "$(first/build/bin/voxloop-report)" = first ] || fail "the copy built into the original"
mv first moved
expect 0 'made elsewhere' build moved
sed -i 's/first/third/' moved/stages/report.c
build moved || fail "a moved project does not build"
[ "$(moved/build/bin/voxloop-report)" = third ] || fail "a moved project built other sources"

# What is no build folder of ours is left alone.
mkdir mine && echo mine >mine/file
expect 2 'BUILD=mine is no build folder and not empty' build moved BUILD=mine
mkdir other && echo 'CMAKE_PROJECT_NAME:STATIC=game' >other/CMakeCache.txt
expect 2 'BUILD=other is a build of game' build moved BUILD=other
echo 'error' >>moved/stages/prepare.c
expect 2 'BUILD=moved/build: the build failed' build moved
sed -i '$d' moved/stages/prepare.c
build moved || fail "the mended project does not build"

# Another user runs what is up to date, and is told what to do where it is not.
[ "$(id -u)" = 0 ] && command -v setpriv >/dev/null || {
    echo "not tested here: another user (needs root)" >&2
    exit 0
}
somebody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
content() { (cd moved && find . -printf '%P %T@ %s\n' | LC_ALL=C sort); }
content >before
somebody make -f moved/Makefile.pipeline build >log 2>&1 || { cat log >&2; fail "another user cannot use what is up to date"; }
touch moved/stages/report.c
expect 2 'BUILD=moved/build belongs to root and is not up to date \(.*report.c\): build it as root, or say BUILD=folder' somebody make -f moved/Makefile.pipeline build
rm -r moved/build
expect 2 'BUILD=moved/build cannot be made here; say BUILD=folder' somebody make -f moved/Makefile.pipeline build
mkdir -m 777 theirs
CMAKE_C_COMPILER_LAUNCHER= somebody make -f moved/Makefile.pipeline build BUILD=theirs >log 2>&1 || { cat log >&2; fail "a build of their own failed"; }
[ "$(theirs/bin/voxloop-report)" = third ] || fail "another user's build"
echo "build: fine"
