#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Resolves the dependencies of pyproject.toml and writes them to requirements/*.txt, with hashes
# and without host names:
#     agent.txt   the agent and the diagnostic commands
#     bench.txt   what the extra `bench` adds to agent.txt
#     northbound.txt  what the extra `northbound` adds to agent.txt
#     ops.txt     what the extra `ops` adds to agent.txt
#     relay.txt   what the extra `relay` adds to agent.txt
#     build.txt   the build tool for `pip install .`
#     dev.txt     all of them, the tests, linters and types
#     pypy.txt    all but dev.txt, for PyPy
# Usage: make lock
#        CONSTRAINTS=FILE make lock     keeps the versions that FILE pins
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check uv

resolve() { # resolve NAME ARGUMENT...: one universal resolution, valid for every supported Python
    output=$1
    shift
    "$work/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url --no-emit-find-links --no-annotate \
        --output-file "$work/$output" "$@" >/dev/null
}

without() { # without FILE NAME: the entries of NAME that are not in FILE
    awk '/^[^ #]/ { entry = $1 } NR == FNR { known[entry]; next } !(entry in known)' "$1" "$2"
}

write() { # write NAME: reads the entries
    {
        echo "# Written by \`make lock\` from pyproject.toml; do not edit."
        cat
    } >"requirements/$1"
    echo "lock: requirements/$1, $(grep -c == "requirements/$1") packages"
}

pins="$work/run.txt"
resolve run.txt ${CONSTRAINTS:+--constraint "$CONSTRAINTS"} \
    --extra bench --extra northbound --extra ops --extra relay --group build pyproject.toml
resolve agent.txt --constraint "$pins" pyproject.toml
resolve bench.txt --constraint "$pins" --extra bench pyproject.toml
resolve northbound.txt --constraint "$pins" --extra northbound pyproject.toml
resolve ops.txt --constraint "$pins" --extra ops pyproject.toml
resolve relay.txt --constraint "$pins" --extra relay pyproject.toml
resolve build.txt --constraint "$pins" --group build
# A modem driver for boards asks for a layer that gives a PC the modules `board` and `micropython`.
# The tests use the driver on a serial line, without it.
echo "adafruit-blinka ; sys_platform == 'none'" >"$work/overrides"
resolve dev.txt --override "$work/overrides" --constraint "$pins" ${CONSTRAINTS:+--constraint "$CONSTRAINTS"} \
    --extra bench --extra northbound --extra ops --extra relay --extra firmware --group dev \
    pyproject.toml
# Later wheels of cryptography need PyPy 7.3.20; Debian 13 has 7.3.19.
sed -n 's/^\([^ #].*==[^\\]*\)\\$/\1/p' "$pins" |
    sed 's/^cryptography==[^ ]*/cryptography<47/' >"$work/pypy.in"
resolve pypy.txt --constraint "$work/pypy.in" --extra bench --extra ops --group build pyproject.toml

write agent.txt <"$work/agent.txt"
for name in bench.txt northbound.txt ops.txt relay.txt build.txt; do
    without "$work/agent.txt" "$work/$name" | write "$name"
done
awk '/^[^ #]/ { kept = !/sys_platform == .none./ } kept' "$work/dev.txt" | write dev.txt
write pypy.txt <"$work/pypy.txt"
