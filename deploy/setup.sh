#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes .venv on the newest suitable Python, with the command .venv/bin/coldloop.
# Usage: deploy/setup.sh run         agent, bench and operators' commands
#        deploy/setup.sh agent       the agent and the diagnostic commands only
#        deploy/setup.sh dev         run, and the tests, linters and type checks
#        deploy/setup.sh pypy        the same as run on PyPy, in .pypy
#        PYTHON=/path/to/python3 deploy/setup.sh run     selects the interpreter
# A stamp in the environment holds the digest of the installed locks; if it is equal, nothing is
# done.
set -eu
cd "$(dirname "$0")/.."

level=${1:-run}
case $level in
run) locks="agent bench ops build" ;;
agent) locks="agent build" ;;
dev | pypy) locks=$level ;;
*) echo "setup: $level: unknown; use run, agent, dev or pypy" >&2; exit 2 ;;
esac
pythons="python3.15 python3.14 python3.13 python3.12 python3.11 python3" last=/usr/bin/python3
venv=.venv kind=Python needs=python3-venv
[ "$level" != pypy ] || pythons=pypy3 last= venv=.pypy kind=PyPy needs="pypy3 pypy3-venv"

suits() { # suits PYTHON: version 3.11 or newer, with venv and pip
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() { # prints the first suitable interpreter, newest first
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
includes() { has "$level" || has dev || { [ "$level" = agent ] && has run; }; }
if [ -x $venv/bin/coldloop ] && includes && $venv/bin/python -c ''; then
    exit 0
fi

# An environment of another checkout is used as it is: it is never cleared and nothing is installed.
if [ -L $venv ]; then
    $venv/bin/python -c '' 2>/dev/null && exit 0
    echo "setup: $venv is a link to $(readlink $venv), without a working interpreter; remove it" >&2
    exit 2
fi

# An environment is made again if its interpreter is missing or its folder was moved.
if ! suits $venv/bin/python || ! grep -qsF "$(pwd -P)/$venv" $venv/bin/activate; then
    python=$(find_python) || {
        echo "setup: no $kind >= 3.11 with venv; on Debian: apt-get install $needs" >&2
        exit 2
    }
    echo "setup: making $venv with $("$python" --version | head -n 1) ($python)"
    "$python" -m venv --clear $venv
fi

set --
for name in $locks; do set -- "$@" --requirement "requirements/$name.txt"; done
count=$(for name in $locks; do sed -n 's/==.*//p' "requirements/$name.txt"; done | sort -u | wc -l)
echo "setup: installing $count locked packages ($level)"
pip() { $venv/bin/python -m pip --quiet --disable-pip-version-check --no-input "$@"; }
pip install --no-deps --require-hashes "$@"  # the lock names all dependencies
pip install --no-deps --no-build-isolation --editable .
echo "$want" >"$venv/.setup-$level"
