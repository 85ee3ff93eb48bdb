#!/bin/sh
# Makes .venv on the newest Python that will do, with the command .venv/bin/coldloop in it.
# Usage: deploy/setup.sh run|dev     (dev adds what tests, linters and type checks need)
#        deploy/setup.sh pypy        (the same as run on PyPy, in .pypy)
#        PYTHON=/path/to/python3 deploy/setup.sh run     (to choose the interpreter oneself)
# Quick when there is nothing to do: a stamp in it holds the digest of what was installed.
set -eu
cd "$(dirname "$0")/.."

level=${1:-run}
lock=requirements/$level.txt
[ -f "$lock" ] || { echo "setup: $lock: no such lock; say run, dev or pypy" >&2; exit 2; }
pythons="python3.15 python3.14 python3.13 python3.12 python3.11 python3" last=/usr/bin/python3
venv=.venv kind=Python needs=python3-venv
[ "$level" != pypy ] || pythons=pypy3 last= venv=.pypy kind=PyPy needs="pypy3 pypy3-venv"

suits() { # suits PYTHON: version 3.11 or newer, able to make an environment with pip
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() { # prints the first interpreter that suits, newest first
    for python in ${PYTHON:-$pythons} $last; do
        if suits "$python"; then
            echo "$python"
            return 0
        fi
    done
    return 1
}

want="$(cat requirements/*.txt pyproject.toml | sha256sum | cut -d ' ' -f 1) $(pwd -P)"
has() { [ "$(cat "$venv/.setup-$1" 2>/dev/null)" = "$want" ]; }
if [ -x $venv/bin/coldloop ] && { has "$level" || has dev; } && $venv/bin/python -c ''; then
    exit 0
fi

# An environment that works is kept; one whose interpreter is gone or that was moved is made anew.
if ! suits $venv/bin/python || ! grep -qsF "$(pwd -P)/$venv" $venv/bin/activate; then
    python=$(find_python) || {
        echo "setup: no $kind >= 3.11 with venv; on Debian: apt-get install $needs" >&2
        exit 2
    }
    echo "setup: making $venv with $("$python" --version | head -n 1) ($python)"
    "$python" -m venv --clear $venv
fi

echo "setup: installing $(grep -c == "$lock") locked packages ($level)"
pip() { $venv/bin/python -m pip --quiet --disable-pip-version-check --no-input "$@"; }
pip install --require-hashes --requirement "$lock"
pip install --no-deps --no-build-isolation --editable .
echo "$want" >"$venv/.setup-$level"
