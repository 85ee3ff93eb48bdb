#!/bin/sh
# Resolves the dependencies of pyproject.toml anew and writes them, with hashes and without any
# host name, to requirements/run.txt (what the command needs), requirements/dev.txt (that and
# the tests, linters and types) and requirements/pypy.txt (run.txt for PyPy). Usage: make lock
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uv

lock() { # lock OUTPUT ARGUMENT...: one universal resolution, good for every supported Python
    output=$1
    shift
    "$work/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url --no-emit-find-links --no-annotate \
        --output-file "$work/$output" "$@" pyproject.toml >/dev/null
    {
        echo "# Written by \`make lock\` from pyproject.toml; do not edit."
        cat "$work/$output"
    } >"requirements/$output"
    echo "lock: requirements/$output, $(grep -c == "requirements/$output") packages"
}

lock run.txt --group build
lock dev.txt --group dev --constraint "$work/run.txt"
# The wheels of later ones want PyPy 7.3.20; Debian 13 has 7.3.19.
sed -n 's/^\([^ #].*==[^\\]*\)\\$/\1/p' "$work/run.txt" |
    sed 's/^cryptography==[^ ]*/cryptography<47/' >"$work/pypy.in"
lock pypy.txt --group build --constraint "$work/pypy.in"
