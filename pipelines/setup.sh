#!/bin/sh
# Installs what voxloop builds with and speaks the demo corpus with: the Debian packages in packages.txt.
# Needs root or sudo without a password; otherwise prints the line to run and exits 1. Does nothing when
# everything is there.
set -eu
cd "$(dirname "$0")"

command -v dpkg-query >/dev/null || {
    echo "setup: this script knows Debian's packages only; install these libraries by hand:" $(cat packages.txt) >&2
    exit 1
}
missing=
for package in $(cat packages.txt); do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root=sudo
else
    echo "setup: packages are missing and this user may not install them; run:" >&2
    echo "sudo apt-get update && sudo $install" >&2
    exit 1
fi
echo "setup: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
$as_root apt-get update >"$log" 2>&1 || true # stale lists may do; the install below decides
$as_root $install >>"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    echo "setup: the packages could not be installed; the last lines above say why" >&2
    exit 1
}
