#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the image of a controller: read-only root, two slots. Needs mkosi, ukify, erofs-utils,
# mtools and dosfstools, and no loop device. Uses the mirror of apt of this machine.
#
#     deploy/debian/image/build.sh VERSION [FOLDER] [OPTION OF MKOSI...]
#
# FOLDER (out/image): coldloop_VERSION.raw for a new disk, .root.raw and .efi for an update.
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
version=${1:?VERSION}
out=$(realpath -m "${2:-out/image}")
shift "$(($# < 2 ? $# : 2))"
mkdir -p "$out"
if ! ls "$out"/coldloop_*.deb >/dev/null 2>&1; then
    (cd "$here/../../.." && "${PYTHON:-.venv/bin/python}" -m deploy.debian.build --out "$out")
fi
sources=$out/sandbox/etc/apt/sources.list.d/mkosi.sources
mkdir -p "$(dirname "$sources")"
apt-get indextargets --format '$(SITE) $(RELEASE) $(SIGNED_BY)' 'Created-By: Packages' 'Component: main' |
    awk '$2 ~ /^trixie/ { print "Types: deb\nURIs: " $1 "\nSuites: " $2 "\nComponents: main\nSigned-By: " $3 "\n" }' \
        > "$sources"
exec mkosi --directory "$here" --force --image-version "$version" --output-directory "$out" \
    --package-directory "$out" --sandbox-tree "$out/sandbox" "$@" build
