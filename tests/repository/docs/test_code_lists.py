# SPDX-License-Identifier: Apache-2.0
"""ARCHITECTURE.md names, in the row of a change, each file of code with a list of its things.

Who adds a vendor, a board or a modem must add it to each of these lists. A file has a list if it
names at least three of the things as text. Scenarios and tests do not count. Does not look at the
pages; see `test_hand_lists`. `ALLOWED` has the files that need no change, with the reason.
"""

import ast
import functools
import re
from collections.abc import Iterable

import pytest

from agent.control.operation.manual_commands import OPERATING_MODES
from agent.core.alarm_record import STATES
from agent.energy.account import ROLES as METER_ROLES
from agent.power.load_class import CLASSES as LOAD_CLASSES
from agent.power.report import STATES as LOAD_STATES
from agent.power.schedule import ACTIONS
from agent.remote.message.keyring import ROLES as KEY_ROLES
from agent.safety.interlock_input import INTERLOCKS
from agent.telemetry import bus_status
from deploy.firmware.command_build import BOARDS
from deploy.northbound.process.settings import PROCESSES
from deploy.orchestrate.rules import LEVELS
from deploy.relay.outputs.registry import OUTPUTS
from drivers.device.number_types import TYPES
from drivers.device.profile_entries import ROLES as PROFILE_ROLES
from drivers.gnss.setup_vendors import VENDOR_COMMANDS
from drivers.modems import KINDS as MODEMS
from drivers.modems import REGIONS
from drivers.modems.regions.rule import SYSTEMS
from drivers.ports.address_text import KINDS as PORT_KINDS
from drivers.ports.store_request import OPERATIONS
from hil.bench.device_fleet import LINE_UNITS, TCP_UNITS
from hil.campaign.hazard.invariants import NAMES as INVARIANTS
from hil.devices.gnss.dialects import DIALECTS
from hil.devices.modbus.requests import WRITE_FUNCTIONS
from hil.fault.registry import EVENTS
from hil.measure.registry import MEASURES
from hil.plant.air.cooler import KINDS as COOLERS
from protocols.nmea.satellite_id import SYSTEMS as SATELLITES
from protocols.nmea.satellite_id import VENDORS
from protocols.telemetry.message import CLASSES
from protocols.telemetry.schema import CLOCKS
from tests.repository.docs.test_hand_lists import ROWS
from tests.support.repository import ROOT

_ROOMS = ("agent", "benchmarks", "deploy", "drivers", "hil", "protocols")
_SUFFIXES = (".py", ".toml", ".js", ".mjs", ".sh")
_DATA = "hil/scenarios/"
_WHERE = {
    "measures": ("hil/measure/", "hil/campaign/", "hil/report/", "hil/run/", "hil/scenario/"),
    "page parts": ("hil/page/static/",),
}
"""Where a list of words that others use too can be; the other kinds: in each room."""
_ENOUGH = 3
_MODBUS = {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 20, 21, 22, 23, 24, 43}
"""Function codes of the standard, and the interface 14 of function 43."""
_STATUS_KEYS = re.findall(r'"(\w+)":', bus_status._DEVICE + bus_status._BUS)
_STATUS_FIELDS = {name for name in _STATUS_KEYS if "_" in name} | {"timeouts", "retries"}
_PAGE_PARTS = re.findall(
    r'\bid="([\w-]+)"', (ROOT / "hil/page/static/index.html").read_text(encoding="utf-8")
)

LISTS: dict[str, tuple[tuple[str, ...], Iterable[str]]] = {
    "vendors": (("GNSS receiver vendor", "command for the pulse"),
                {*VENDORS, *VENDOR_COMMANDS, *DIALECTS}),
    "boards": (("board ",), BOARDS),
    "modems": (("satellite modem |", "the same modem, emulated"), MODEMS),
    "regions": (("region of the radio rules",), REGIONS),
    "radio systems": (("region of the radio rules", "satellite modem |"), SYSTEMS),
    "sinks": (("output (sink) of the relay",), [output.name for output in OUTPUTS]),
    "faults": (("fault word (event)",), EVENTS),
    "measures": (("measure of scenarios", "measure of a pair"), MEASURES),
    "key roles": (("role of an operator's key",), [name for name, _ in KEY_ROLES]),
    "interlocks": (("kind of safety input", "trip by a measured value"),
                   [record.code for _, record in INTERLOCKS]),
    "unit states": (("unit state beside",), STATES),
    "clock states": (("state of the clock",), CLOCKS),
    "device models": (("the same model, emulated", "the same model as a device"),
                      {*LINE_UNITS, *TCP_UNITS}),
    "invariants": (("invariant of the hazard analysis",), INVARIANTS),
    "servers": (("server for the site",), PROCESSES),
    "number formats": (("number format or byte order",), TYPES),
    "roles of profiles": (("role of a device profile",), PROFILE_ROLES),
    "port kinds": (("port kind", "the same port kind"), PORT_KINDS),
    "operations of a store": (("operation of a store",), OPERATIONS),
    "satellite systems": (("satellite system",), [name for name in SATELLITES if name]),
    "modes": (("operating mode or proof test",), [name for name, *_ in OPERATING_MODES]),
    "load classes": (("derating curve of a load class",), [name for name, *_ in LOAD_CLASSES]),
    "load states": (("state of the power limits",), LOAD_STATES),
    "actions": (("frequency droop, demand interval",), [action.name for action in ACTIONS]),
    "roles of meters": (("role of a meter",), METER_ROLES),
    "levels": (("lever of `coldloop orchestrate`",), LEVELS),
    "classes of records": (("class (priority) of records",), CLASSES),
    "coolers": (("coolant, room, cooler",), COOLERS),
    "status fields": (("section or field of the status",), _STATUS_FIELDS),
    "page parts": (("other widget of the live page",), _PAGE_PARTS),
}  # fmt: skip
"""Begins of the rows of ARCHITECTURE.md, and the names in the code to which the change adds one."""

_POLICY = "a choice of its own; a new word needs no entry"
_CURVES = "values of the plant with the same names, not measures"
ALLOWED: dict[str, dict[str, str]] = {
    "modems": {"drivers/modems/regions/": "radio systems with the names of modems"},
    "radio systems": {
        "drivers/modems/regions/": "the row names the rules of each region",
        "hil/bench/testbed_satcom.py": "kinds of modem with the names of radio systems",
    },
    "sinks": {
        "benchmarks/telemetry/relay.py": _POLICY,
        "deploy/relay/commands/option_checks.py": _POLICY,
    },
    "faults": {
        "hil/fault/": "the tables themselves: one in a subject",
        "hil/campaign/hazard/exemptions.toml": _POLICY,
        "hil/campaign/hazard/case_generator.py": _POLICY,
        "hil/campaign/nth_failure.py": _POLICY,
        "hil/campaign/random_campaign.py": _POLICY,
        "hil/run/unit/unit_suite.py": "the row of the acceptance of an own unit",
    },
    "measures": {
        "hil/measure/": "the tables themselves: one in a subject",
        "hil/campaign/hazard/": _POLICY,
        "hil/campaign/reproduce/": _POLICY,
        "hil/report/dossier/derating.py": _CURVES,
        "hil/run/site_servers.py": _CURVES,
        "hil/run/unit/": "the row of the acceptance of an own unit",
        "hil/scenario/authoring/row_texts.py": _POLICY,
        "hil/scenario/several_check.py": "keys of the row with the names of measures",
        "hil/scenario/channels.py": _CURVES,
    },
    "device models": {
        "benchmarks/remote/fleet.py": _POLICY,
        "hil/annual/unit_file.py": "the models of the default unit of a year",
    },
    "number formats": {
        "hil/tools/commission/inputs/row_states.py": "the integers of a register table",
        "deploy/northbound/modbus/layout.py": "formats of the server for the building",
        "deploy/northbound/points/modbus.toml": "formats of the server for the building",
    },
    "port kinds": {
        "agent/satcom/component.py": "ports of a modem alone",
        "hil/run/real_bench.py": "ports of the bench, which it chooses",
    },
    "operations of a store": {
        "agent/log/record_store.py": "uses the operations",
        "benchmarks/": _POLICY,
    },
    "satellite systems": {"benchmarks/gnss/gpsd.py": _POLICY},
    "roles of meters": {
        "hil/annual/site.py": "words of the site of a year, not of meters",
        "hil/tools/commission/inputs/state_words.py": "words of names of bits",
        "hil/tools/commission/inputs/known_phrases.py": "words of names of bits",
    },
    "roles of profiles": {
        "hil/tools/commission/inputs/state_words.py": "words of names of bits",
        "hil/tools/commission/inputs/known_phrases.py": "words of names of bits",
    },
    "servers": {"deploy/debian/prove-systemd.sh": _POLICY},
    "page parts": {"hil/page/static/sky.js": "its parts are those of the sky alone"},
    "modbus functions": {
        "hil/devices/": "`functions` of the devices, as the row says",
        "drivers/gnss/setup_vendors.py": "numbers of messages, not of Modbus",
        "protocols/telemetry/column_v1.py": "numbers of bits, not of Modbus",
    },
}


def names_file(row: str, path: str) -> bool:
    """Return whether a row names a file: by its path, or by its folder and the rest of the path."""
    heads = [at for at, sign in enumerate(path) if sign == "/"]
    return path in row or any(
        f"`{path[: at + 1]}`" in row and f"`{path[at + 1 :]}`" in row for at in heads
    )


@functools.cache
def sources() -> dict[str, str]:
    """Return the text of each file of code, by its path."""
    paths = [path for room in _ROOMS for path in (ROOT / room).rglob("*")]
    names = {path.relative_to(ROOT).as_posix(): path for path in [*paths, ROOT / "coldloop.py"]}
    return {
        name: path.read_text(encoding="utf-8")
        for name, path in sorted(names.items())
        if path.suffix in _SUFFIXES and not name.startswith(_DATA)
    }


@functools.cache
def words(name: str) -> frozenset[str]:
    """Return what a file has in quotation marks, and its keys at the start of a line."""
    text = sources()[name]
    return frozenset(
        re.findall(r"""["']([\w.-]+)["']""", text) + re.findall(r"(?m)^\s*([\w-]+)\s*=[^=]", text)
    )


def files_with(kind: str) -> list[str]:
    """Return the files that name at least three of the things of a kind."""
    wanted, rooms = set(LISTS[kind][1]), _WHERE.get(kind, ("",))
    return [
        name
        for name in sources()
        if name.startswith(rooms) and len(wanted & words(name)) >= _ENOUGH
    ]


def allowed(kind: str, path: str) -> bool:
    """Return whether a file needs no change; an entry that ends with `/` is a folder."""
    return any(
        path == entry or (entry.endswith("/") and path.startswith(entry))
        for entry in ALLOWED.get(kind, {})
    )


def missing_files(kind: str, starts: tuple[str, ...], found: list[str]) -> list[str]:
    """Return the files with a list that neither a row nor `ALLOWED` names."""
    rows = [row for row in ROWS if row.startswith(tuple(f"| {start}" for start in starts))]
    assert rows, f"no row begins with {starts}"
    return [
        path
        for path in found
        if not allowed(kind, path) and not any(names_file(row, path) for row in rows)
    ]


@pytest.mark.parametrize("kind", LISTS)
def test_the_row_of_a_change_names_the_files_with_its_list(kind: str) -> None:
    starts, names = LISTS[kind]
    missing = missing_files(kind, starts, files_with(kind))
    assert not missing, f"{kind}: these files name several of {', '.join(sorted(set(names))[:4])}"


def function_lists(text: str) -> list[list[int]]:
    """Return the literals of a module whose numbers are Modbus functions, a write among them."""
    found: list[list[int]] = []
    if not re.search(r"\b(?:16|0[xX]10|0[bB]10000|0[oO]20)\b", text):  # to parse takes longest
        return found
    for node in ast.walk(ast.parse(text)):
        items: list[ast.expr | None] = []
        if isinstance(node, (ast.Tuple, ast.Set, ast.List)):
            items = list(node.elts)
        elif isinstance(node, ast.Dict):
            items = list(node.keys)
        values = [item.value for item in items if isinstance(item, ast.Constant)]
        codes = [value for value in values if type(value) is int]
        is_list = len(codes) >= _ENOUGH and set(codes) <= _MODBUS
        if is_list and 16 in codes and len(set(codes) & {3, *WRITE_FUNCTIONS}) >= 2:
            found.append(codes)
    return found


def test_the_row_of_a_modbus_function_names_the_files_with_a_list_of_them() -> None:
    found = [name for name in sources() if name.endswith(".py") and function_lists(sources()[name])]
    missing = missing_files("modbus functions", ("Modbus function code",), found)
    assert not missing, "take `WRITES`, `READS` of protocols/modbus/pdu.py, or name them"


def test_a_list_of_functions_is_found() -> None:
    assert function_lists("WRITES = frozenset({5, 6, 15, 16})") == [[5, 6, 15, 16]]
    assert function_lists("WRITES = (0x05, 0x06, 0x10)") == [[5, 6, 16]]
    assert function_lists("PINS = (0, 8, 16, 22)\nSIZES = [1, 2, 3]") == []


def test_each_allowed_file_has_a_list() -> None:
    for kind, entries in ALLOWED.items():
        if kind != "modbus functions":
            found = files_with(kind)
            stale = [entry for entry in entries if not any(p.startswith(entry) for p in found)]
            assert not stale, f"{kind}: no list there any more"


def test_a_row_names_a_file_by_its_folder() -> None:
    assert names_file(
        "`deploy/northbound/`: `modbus/image.py`", "deploy/northbound/modbus/image.py"
    )
    assert not names_file("`deploy/`: `image.py`", "deploy/northbound/modbus/image.py")
