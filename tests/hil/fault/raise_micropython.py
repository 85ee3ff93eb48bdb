# SPDX-License-Identifier: Apache-2.0
"""Campaign of exceptions on MicroPython: pieces of an agent on the unix port raise at random calls.

    python -m tests.hil.fault.raise_micropython [--runs 100] [--seed 1] [--out FILE] [PIECE …]

Each run is a row in lock-step with one or two faults. Half of the faults are allocations that fail
inside the call (`heap`, see `hil.kernel.raise_in`). The judge: the process lives, no tick is
missed, the loops hold (`check` of `test_agent`), each fault of another word is counted. It does not
compare digests with CPython; see `test_both_interpreters_behave_alike`.
"""

from __future__ import annotations

import argparse
import random
import sys
import traceback
from pathlib import Path
from typing import Any

from hil.kernel.raise_in import ERRORS
from tests.hil.fault.test_agent import CALLS, PIECES, check, event

_FIRST_S, _LAST_S = 5, 40


def draw(rng: random.Random, pieces: tuple[str, ...]) -> list[tuple[str, int, int]]:
    """Draw one or two faults: text, call, second."""
    words = ["", *(" " + word for word in ERRORS)]
    found = []
    for _ in range(rng.choice((1, 1, 2))):
        word = " heap" if rng.random() < 0.5 else rng.choice(words)
        call = rng.randint(1, CALLS if rng.random() < 0.5 else 20)
        found.append((rng.choice(pieces) + word, call, rng.randint(_FIRST_S, _LAST_S)))
    return found


def run(faults: list[tuple[str, int, int]]) -> str:
    """Run one row; return what is wrong, empty if nothing is."""
    text = "".join(event("raise_in", piece, call, at_s) for piece, call, at_s in faults)
    try:
        result = check(text, "micropython")
    except BaseException:  # noqa: BLE001 - the findings
        return traceback.format_exc()[-1500:]
    assert result.status is not None
    counted = sum(result.status["ticks"].get("faults", {}).values())
    return f"{counted} faults counted" if counted > len(faults) else ""


def main(argv: list[str]) -> int:
    """Run the campaign; return 1 if a run has a problem."""
    parser = argparse.ArgumentParser(prog="tests.hil.fault.raise_micropython")
    parser.add_argument("pieces", nargs="*", metavar="PIECE", default=PIECES)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    out: Any = sys.stdout if arguments.out is None else arguments.out.open("a")
    bad = 0
    for number in range(arguments.runs):
        faults = draw(random.Random(f"{arguments.seed} {number}"), tuple(arguments.pieces))
        problem = run(faults)
        bad += bool(problem)
        if problem:
            print(number, faults, problem, file=out, flush=True)
    print(f"seed {arguments.seed}: {arguments.runs} runs, {bad} bad", file=out, flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
