# SPDX-License-Identifier: Apache-2.0
"""How the tests are spread over the processes of pytest-xdist, and in which order they run.

A file stays in one process, because its tests share programs, and one run of MicroPython has all
tests of a file. So do the files of HYPOTHESIS, and those of BROWSER. The tests of SPLIT share
nothing, so each of them goes to a free process. The gates come first, because their failures
explain later ones. The files of FIRST follow, because they take longest: most of them wait, so they
run beside files that compute. The many short runs of LAST fill the processes until the end.
"""

from pathlib import PurePath
from typing import Any

from xdist.scheduler import LoadFileScheduling

TEST_RUNS = "COLDLOOP_TEST_RUNS"
"""Variable with the folder of results that the processes of one session share."""
GATES = "tests/repository/test_gates.py"
SPLIT = (
    GATES,
    "tests/repository/test_benchmarks.py",
    "tests/hil/campaign/test_campaign.py",
    "tests/hil/fault/test_agent.py",
    "tests/hil/run/test_claim_order.py",
    "tests/hil/run/test_virtual.py",
)
FIRST = (
    GATES,
    "tests/deploy/northbound/panel/test_page.py",
    "tests/hil/page/test_keyboard.py",
    "tests/deploy/firmware/test_firmware.py",
    "tests/repository/test_house.py",
    "tests/hil/page/test_view.py",
    "tests/hil/unit/test_commission.py",
    "tests/hil/page/test_survival.py",
    "tests/hil/annual/test_annual.py",
    "tests/hil/campaign/test_clock_campaign.py",
    "tests/hil/campaign/test_hazard.py",
    "tests/hil/campaign/pair/test_pair_run.py",
    "tests/repository/docs/test_docs.py",
    "tests/repository/test_benchmarks.py",
    "tests/hil/fault/test_agent.py",
    "tests/hil/campaign/test_campaign.py",
)
HYPOTHESIS = (
    "tests/agent/config/test_schema.py",
    "tests/oracle/test_signing.py",
    "tests/oracle/modbus/test_modbus.py",
    "tests/oracle/modbus/test_modbus_mutated_bytes.py",
)
"""Files with tests of hypothesis: in one process, because hypothesis reads the constants of all
imported modules at its first test, which takes 2 s."""
BROWSER = (
    "tests/hil/page/test_keyboard.py",
    "tests/hil/page/test_view.py",
    "tests/hil/page/test_layouts.py",
    "tests/hil/page/test_history.py",
)
"""Files that use one browser; see tests/hil/page/conftest.py."""
LAST = ("tests/hil/run/test_claim_order.py", "tests/hil/run/test_virtual.py")


def rank(path: PurePath) -> int:
    """Return the place of a test file, a path from the root, in the order of the files."""
    name = path.as_posix()
    if name in LAST:
        return len(FIRST) + 1
    return FIRST.index(name) if name in FIRST else len(FIRST)


class TestSpread(LoadFileScheduling):
    """Gives files to the processes, and tests of SPLIT one by one."""

    def _split_scope(self, nodeid: str) -> Any:
        file = nodeid.split("::", 1)[0]
        for group in (HYPOTHESIS, BROWSER):
            if file in group:
                return group[0]
        return nodeid if file in SPLIT else file
