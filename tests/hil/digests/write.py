# SPDX-License-Identifier: Apache-2.0
"""Digests of the shipped scenarios: what they are, what they were, and why they changed.

`python -m tests.hil.digests.write REASON` runs all scenarios without those of the suite `hazards`,
and writes `baseline.txt`: name, verdict, digest, reason. It takes about a minute of computing time
on each of two cores. Only a digest that has changed gets the new REASON; a new scenario needs none.
If several changes have different reasons, correct the file afterwards. `test_digests.py` compares.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from hil.run.recorded import DUTS
from hil.run.several.open_run import open_run
from hil.scenario.loader import find, shipped_names
from hil.scenario.suite import load_suite

FOLDER = Path(__file__).parent
BASELINE, BEFORE = FOLDER / "baseline.txt", FOLDER / "before.txt"
_PROCESSES = 2


def names() -> list[str]:
    """Return the scenarios of the baseline."""
    hazards = {case.name.partition("/")[0] for case in load_suite("hazards").scenarios}
    return sorted(set(shipped_names()) - hazards)


def run_scenario(name: str, dut: str = "cpython") -> tuple[str, str, str]:
    """Run a scenario with seed 1; give name, verdict and digest of all its cases."""
    verdict, digests = "pass", []
    for case in find(name).expand_cases():
        run = open_run(case, 1, DUTS[dut])
        try:
            result = run.make_result(dut, run.run())
        finally:
            run.close()
        verdict = "fail" if result.failures else verdict
        digests.append(result.digest or "")
    return name, verdict, " ".join(digests)


def read_baseline(file: Path) -> dict[str, str]:
    """Read the digests by name; a line is NAME [pass|fail] DIGEST... [# REASON]."""
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        words = line.partition("#")[0].split()
        if words:
            found[words[0]] = " ".join(word for word in words[1:] if word not in ("pass", "fail"))
    return found


def main(reason: str) -> int:
    """Write the baseline; exit 1 if a scenario fails, or if a changed digest has no reason."""
    before, failed = read_baseline(BEFORE), 0
    old_lines = {line.split()[0]: line for line in BASELINE.read_text("utf-8").splitlines()}
    lines, unexplained = [], []
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
        for name, verdict, digest in pool.map(run_scenario, names()):
            failed += verdict == "fail"
            old_line, line = old_lines.get(name, ""), f"{name} {verdict} {digest}"
            if old_line.partition("#")[0].strip() == line:
                line = old_line
            elif before.get(name) != digest:
                is_new = not old_line and name not in before
                line += "  # " + ("new scenario" if is_new else reason)
                if not (is_new or reason):
                    unexplained.append(name)
            lines.append(line)
            print(f"{name} {verdict}", flush=True)
    if unexplained:
        print(f"give the reason (make digests REASON='...'): {', '.join(unexplained)}")
        return 1
    BASELINE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
