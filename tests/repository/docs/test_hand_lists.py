# SPDX-License-Identifier: Apache-2.0
"""ARCHITECTURE.md names, in the row of a change, each page with a hand-written list of its things.

A hand-written list is a block of a page (a table, a list, a paragraph) that has all names of a list
in the code. Its next entry must be written there too. Pages that `make reference` writes do not
count. The test does not compare the pages with the code.
"""

import functools
import re
from collections.abc import Iterable, Sequence

import pytest

from agent.control.operation.manual_commands import OPERATING_MODES
from agent.core.alarm_record import STATES
from agent.energy.account import ROLES as METER_ROLES
from agent.power.load_class import CLASSES as LOAD_CLASSES
from agent.power.report import STATES as LOAD_STATES
from agent.power.schedule import ACTIONS
from agent.remote.message.reject import REJECT_REASONS
from agent.safety import loop_watch
from agent.safety.schema import KINDS as SAFETY_INPUTS
from deploy.commands import CONFIG, FLEET
from deploy.firmware.command_build import BOARDS
from deploy.northbound.access.types import ROLES as ACCOUNT_ROLES
from deploy.northbound.process.settings import PROCESSES
from deploy.orchestrate.rules import LEVELS
from deploy.relay.outputs.registry import OUTPUTS
from drivers.commands import TOOLS
from drivers.device.number_types import TYPES
from drivers.device.profile_entries import ROLES as PROFILE_ROLES
from drivers.gnss.setup_vendors import VENDOR_COMMANDS
from drivers.modems import KINDS as MODEMS
from drivers.modems.regions.rule import SYSTEMS
from drivers.ports.bus_address import BUS_KINDS
from hil.annual.words import CLIMATES, LOADS, PLATFORMS, POLICIES
from hil.bench.device_fleet import LINE_UNITS, TCP_UNITS
from hil.campaign.hazard.invariants import NAMES as INVARIANTS
from hil.commands import HIL
from hil.fault.communication.bus import BUS_EVENTS
from hil.fault.gnss import RECEIVER_EVENTS
from hil.fault.process.power import POWER_EVENTS
from hil.fault.sensor import SENSOR_EVENTS
from hil.plant.air.cooler import KINDS as COOLERS
from protocols.modbus.pdu import WRITES
from protocols.telemetry.message import CLASSES
from protocols.telemetry.schema import CLOCKS
from tests.support.repository import ROOT

ROWS = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()
_RECORDS = "docs/project/"
"""Pages that record what was done."""
_KEY_ROLES = ("`operate`", "`limits`")
_WRITE_FUNCTIONS = [str(function) for function in WRITES]
_SLOW_ALARMS = [loop_watch.LEVEL_LOW.code, loop_watch.FILTER_HIGH.code]

LISTS: tuple[tuple[str, Iterable[str]], ...] = (
    ("the same model, emulated", LINE_UNITS),
    ("the same model, emulated", TCP_UNITS),
    ("number format or byte order of registers", TYPES),
    ("role of a device profile", PROFILE_ROLES),
    ("Modbus function code", _WRITE_FUNCTIONS),
    ("port kind of a Modbus bus", BUS_KINDS),
    ("GNSS receiver vendor, set-up", VENDOR_COMMANDS),
    ("unit state beside", STATES),
    ("state of the clock", CLOCKS),
    ("slow alarm by a measured value", _SLOW_ALARMS),
    ("kind of safety input", SAFETY_INPUTS),
    ("operating mode or proof test", [name for name, *_ in OPERATING_MODES]),
    ("derating curve of a load class", [name for name, *_ in LOAD_CLASSES]),
    ("state of the power limits", LOAD_STATES),
    ("frequency droop, demand interval, scheduled action", [action.name for action in ACTIONS]),
    ("role of a meter, unit of a counter", METER_ROLES),
    ("lever of `coldloop orchestrate` in a scheduler", LEVELS),
    ("class (priority) of records", CLASSES),
    ("satellite modem |", MODEMS),
    ("region of the radio rules", SYSTEMS),
    ("role of an operator's key", _KEY_ROLES),
    ("board that QEMU runs", BOARDS),
    ("board with RP2", BOARDS),
    ("board with another MicroPython port", BOARDS),
    ("reject reason of messages", REJECT_REASONS),
    ("subcommand of `coldloop modbus` or `coldloop nmea`", TOOLS["modbus"]),
    ("subcommand of `coldloop modbus` or `coldloop nmea`", TOOLS["nmea"]),
    ("subcommand of `coldloop hil`", HIL),
    ("subcommand of `coldloop config`", CONFIG),
    ("subcommand of `coldloop config`", FLEET),
    ("output (sink) of the relay to a server", [output.name for output in OUTPUTS]),
    ("server for the site", PROCESSES),
    ("role of an account", ACCOUNT_ROLES),
    ("fault word (event) of scenarios", SENSOR_EVENTS),
    ("fault word (event) of scenarios", POWER_EVENTS),
    ("fault word (event) of scenarios", RECEIVER_EVENTS),
    ("fault word (event) of scenarios", BUS_EVENTS),
    ("invariant of the hazard analysis", INVARIANTS),
    ("coolant, room, cooler", COOLERS),
    ("climate of a year", CLIMATES),
    ("policy of a year", POLICIES),
    ("class of limits, IT load of a year", PLATFORMS),
    ("class of limits, IT load of a year", LOADS),
)
"""Begin of a row of ARCHITECTURE.md, and the names in the code to which the change adds one."""


@functools.cache
def pages() -> dict[str, str]:
    """Return the texts of the pages that people write."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    names = {path.relative_to(ROOT).as_posix(): path for path in paths}
    source = (ROOT / "docs/tools/reference.py").read_text(encoding="utf-8")
    generated = {f"docs/{name}" for name in re.findall(r'"(reference/\w+\.md)": \w+,', source)}
    assert len(generated) > 5
    return {
        name: path.read_text(encoding="utf-8")
        for name, path in names.items()
        if not name.startswith(_RECORDS) and name not in generated
    }


def find_lists(names: Sequence[str], text: str) -> list[str]:
    """Return the blocks of a page that have all names."""
    words = [re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-])") for name in names]
    return [
        block for block in re.split(r"\n\s*\n", text) if all(word.search(block) for word in words)
    ]


@pytest.mark.parametrize(("change", "names"), LISTS, ids=[change for change, _ in LISTS])
def test_the_row_of_a_change_names_the_pages_with_its_list(
    change: str, names: Iterable[str]
) -> None:
    rows = [row for row in ROWS if row.startswith(f"| {change}")]
    assert rows, f"no row begins with {change!r}"
    found = [page for page, text in pages().items() if find_lists(list(names), text)]
    missing = [page for page in found if not all(page in row for row in rows)]
    assert not missing, f"{change}: these pages have a list of {', '.join(names)}"


def test_a_list_is_found_in_one_block_only() -> None:
    text = "| `sbd` | `imt` |\n\nonly `sbd`\n\n`imt-2` and `sbd`"
    assert find_lists(("sbd", "imt"), text) == ["| `sbd` | `imt` |"]


def test_the_row_of_a_tunable_key_names_the_test_of_the_recorded_limits() -> None:
    """A new key, range or step changes a hash; a new default changes recorded bytes."""
    rows = [row for row in ROWS if "live-tunable key" in row.partition(" | ")[0]]
    assert len(rows) == 3
    assert all("tests/portable/agent/remote/message/test_numbers.py" in row for row in rows)
    (gain,) = [row for row in ROWS if row.startswith("| gain or default of a loop without")]
    assert "tests/portable/agent/remote/test_remote_traces.py" in gain
