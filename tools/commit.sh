#!/bin/sh
# Writes a header that names the commit of the sources, and leaves it alone if nothing changed.
#
#   sh tools/commit.sh OUTPUT
set -eu
[ $# = 1 ] || { echo "usage: commit.sh OUTPUT" >&2; exit 2; }
here=$(cd "$(dirname "$0")/.." && pwd)
commit=$(git -C "$here" describe --always --abbrev=12 --dirty --match= 2> /dev/null || echo unknown)
printf '#define CHORD_COMMIT "%s"\n' "$commit" > "$1.part"
if cmp -s "$1.part" "$1"; then rm "$1.part"; else mv "$1.part" "$1"; fi
