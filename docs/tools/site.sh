#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the site of the documents into build/docs. Usage: make docs
#
# Diagrams need the JavaScript of mermaid, from npm, with the digest below. Without npm or without
# a network the site shows the source text of the diagrams.
set -eu
cd "$(dirname "$0")/../.."

version=12.3.0
sha512=e35d774dd5de2c0b0caee27bf4ea452f93bcf8b4c55e142a676eb4ac5ded8149a2340b519b852e99ed3823eeb93d137ac99ebd2787fcad56165bccd193ae5463
place=build/mermaid

fetch() { # fetch FOLDER: downloads the package into FOLDER and checks it; fails quietly
    command -v npm >/dev/null 2>&1 || return 1
    (cd "$1" && npm pack --silent "mermaid@$version" >/dev/null 2>&1) || return 1
    echo "$sha512  $1/mermaid-$version.tgz" | sha512sum --check --status || {
        echo "docs: mermaid $version does not have the pinned digest" >&2
        exit 1
    }
    tar -xzf "$1/mermaid-$version.tgz" -C "$1" package/dist/mermaid.min.js
    mkdir -p "$place"
    mv "$1/package/dist/mermaid.min.js" "$place/mermaid.min.js"
    echo "$version" >"$place/version"
}

if [ "$(cat $place/version 2>/dev/null)" != $version ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    fetch "$work" || echo "docs: no mermaid from npm; diagrams are shown as text" >&2
fi
.venv/bin/python -m sphinx --quiet --fail-on-warning --keep-going --builder html \
    -c docs -d build/doctrees . build/docs
echo "docs: build/docs/index.html"
