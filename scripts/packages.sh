#!/bin/sh
# Makes sure that Debian packages are there: installs them as root, otherwise prints the one line to run.
set -eu
missing=""
for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "not a Debian system: make sure that these are installed:$missing" >&2
    exit 0
fi
if [ "$(id -u)" = 0 ]; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "run: sudo apt-get install -y$missing" >&2
    exit 1
fi
