# SPDX-License-Identifier: Apache-2.0
"""Digests of the shipped scenarios: what they are, what they were, and why they changed.

`python -m tests.hil.digests.write` runs all scenarios without those of the suite `hazards`, and
writes `baseline.txt`: name, verdict, digest, reason. It takes about a minute of computing time on
each of two cores. A digest that differs from that of `before.txt` gets the reasons of the
parts that its row has, from `_REASONS`. Change `_REASONS` together with the code that changes
digests. `test_digests.py` compares.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from hil.bench.optional_sections import section_names
from hil.run.recorded import DUTS
from hil.run.several.open_run import open_run
from hil.scenario.loader import find, shipped_names
from hil.scenario.model import Scenario
from hil.scenario.suite import load_suite

FOLDER = Path(__file__).parent
BASELINE, BEFORE = FOLDER / "baseline.txt", FOLDER / "before.txt"
_REASONS = (
    ("", "filter pressure is polled; terms of the UTC bound; late Modbus replies are held"),
    (
        "",
        "statements of the receiver; bytes after a binary header wait for its checksum",
    ),
    ("", "the clock measures with longer means; gain and signatures in the status"),
    ("", "late copies and echoes on the bus are no replies"),
    ("", "requests of other masters and late echoes on the bus"),
    ("", "late replies beside another master are counted in their order"),
    ("", "the bound of the clock contains slow drags"),
    ("", "predictions of the clock by the mean temperature"),
    ("log", "blocks state their start and their columns, and have more modes"),
    ("log", "a start is logged, so that the ground ends the alarms before it"),
    ("log", "blocks have the points of the components; the birth message is the short one"),
    ("log", "a store is on trial after a failure"),
    ("modem", "sessions count by the message number of the modem; the rule of the region"),
    ("cooling", "sensors are checked by relations, dew has an alarm, loops watch themselves"),
    ("cooling", "slow and small load waves are followed by their mean"),
    ("safety", "protection against a loss of flow; start permissives in the status"),
    ("throttle", "limits are proven by power; device temperatures are read"),
    ("throttle", "a power that does not begin to fall is an early alarm"),
    ("throttle", "heat of a device is learned as a thermal resistance, at constant power"),
    ("cooling", "estimates learn only from readings that fit each other"),
    ("remote", "messages are contained and checked in another order"),
    ("remote", "the status has the last refusals"),
    ("remote", "counters have an epoch and seconds; a report names its command"),
    ("safety", "flow is read again before loads go off; a pump is judged by its replacement"),
    ("", "outputs that another master changes are read five times a second"),
    ("cooling", "the optimiser keeps a point that is hardly dearer; fans and pumps at part load"),
    ("cooling", "the optimiser searches along the case limit, for the peak of the load"),
    ("", "a lag pump that a protection or a lost sensor started stops when one is enough"),
    ("throttle", "a load waits for its service before it starts again below its rating"),
    ("safety", "a loss of flow that comes back within 2 min keeps the pumps at full speed"),
    ("cooling", "the alarm dew ends by the same measure as it begins"),
    ("cooling", "the valve closes below its least opening with little heat and cold water"),
    ("throttle", "a case that falls is not hot; cool devices of a cold site have no blind limit"),
    ("throttle", "loads that no order reaches get the coldest supply without condensation"),
    ("throttle", "limits that fall in steps give a service no more time to confirm"),
    ("cooling", "the estimate of a suspect return follows a change of the valve slowly"),
    ("cooling", "a restart keeps the reason of a suspicion, and the fans continue as they ran"),
    (
        "cooling",
        "a valve with stiction waits for a steady return; a shut branch is no false sensor",
    ),
    ("cooling", "the optimiser knows air density, part load and peaks of the heat"),
    ("", "rates of the clock by lines, and more of its earlier states"),
    ("cooling", "nothing learns while a branch is shut or a sensor is suspect"),
    ("cooling", "an equal error of both temperatures raises the dew-point limit"),
    ("cooling", "a suspect supply near the dew point has an alarm; a drift of both has one"),
    ("safety", "a meter of the mains that is false does not limit the loads for good"),
    ("", "a leap second is suspect for 26 minutes"),
    ("cooling", "a supply that falls towards the dew point limits the valve to the present heat"),
    ("safety", "a loss of flow does not end because its readings are lost"),
    ("", "a leap second is suspect for a day, and the stored interval counts after a restart"),
    ("throttle", "a load that is off has not shown that it follows its limit"),
    ("cooling", "a supply below the dew-point limit saves no travel"),
    ("", "an alarm does not end because a load is off, a pump stands or a device is silent"),
    ("", "the bound of the clock contains a latency that changes within its stated error"),
)
"""(section of the row, reason)."""
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


def reason(scenario: Scenario, is_new: bool) -> str:
    """Give the reason of a changed digest."""
    if is_new:
        return "new scenario"
    sections = section_names(scenario.settings)
    return "; ".join(text for section, text in _REASONS if not section or section in sections)


def main() -> int:
    """Write the baseline; exit 1 if a scenario fails."""
    before, lines, failed = read_baseline(BEFORE), [], 0
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
        for name, verdict, digest in pool.map(run_scenario, names()):
            failed += verdict == "fail"
            note = ""
            if before.get(name) != digest:
                note = "  # " + reason(find(name), name not in before)
            lines.append(f"{name} {verdict} {digest}{note}")
            print(f"{name} {verdict}", flush=True)
    BASELINE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
