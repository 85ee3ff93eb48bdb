# SPDX-License-Identifier: Apache-2.0
"""Optional sections of the unit's configuration, by name.

Does not describe the components; see their packages in `agent`. A scenario names sections with
`parts = "log, …"` in its `[row]`. If the `port` of a section is a store, the bench connects it to a
`hil.io.store_endpoint.StoreEndpoint`, also if it is a folder for other processes (`local:`). The
runner connects other kinds of port.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from agent.core.component.registry import COMPONENTS
from agent.port_numbers import FIRST_BUS
from hil.bench import operator_messages, receiver_choice, sections_cooling, testbed_satcom
from hil.bench.testbed_settings import TestbedSettings

_LEDGER_SECTION: dict[str, Any] = {
    "port": "store:/virtual/ledger",
    "save_s": 30,
    "meters": [
        {"role": "facility", "device": "meter", "point": "ImportkWh", "rolls_at": 1235},
        {"role": "it", "device": "meter_it", "point": "ImportkWh", "rolls_at": 1235},
        {"role": "loop", "device": "rpu", "point": "PowerWatts"},
    ],
}
"""The section `ledger` of a row with `meters = 2`."""

SECTION_WRITERS: dict[str, Callable[[TestbedSettings], dict[str, Any]]] = {
    "log": lambda _: {"port": "store:/virtual/log", "at_risk_s": 10, "ack_key": "c0" * 16},
    "ledger": lambda _: dict(_LEDGER_SECTION),
    "cooling": sections_cooling.write_cooling,
    "safety": sections_cooling.write_safety,
    "throttle": lambda _: {},  # `hil.bench.load_bank` writes it: it has the loads
    "remote": operator_messages.write_section,
    "modem": testbed_satcom.modem_section,
    "modem_store": lambda _: {"port": "store:/virtual/modem"},
    "retain": lambda _: {"port": "store:/virtual/retain"},
    "northbound": lambda _: {"port": "local:/virtual/northbound"},
    "integrity": lambda _: {},
    "receiver_setup": receiver_choice.write_setup_section,
    "receivers": lambda settings: {"latency_ms": receiver_choice.mean_latency_ms(settings)},
    "timekeeping": lambda _: {
        "port": "store:/virtual/time",
        "save_s": 60,
        "temperature": "rpu.AirInletTemperatureCelsius",
    },
}
"""Name of a section -> function that writes it for the settings of a testbed."""


class SectionPort(NamedTuple):
    """A port of the agent that belongs to an optional section."""

    number: int
    section: str
    address: str


def write_sections(settings: TestbedSettings) -> dict[str, Any]:
    """Write the sections that `settings` names."""
    return {name: SECTION_WRITERS[name](settings) for name in section_names(settings)}


def section_names(settings: TestbedSettings) -> list[str]:
    """Return the names of the sections in `settings.parts`."""
    return [name.strip() for name in settings.parts.split(",") if name.strip()]


def assign_ports(config: dict[str, Any]) -> list[SectionPort]:
    """Number the ports of the optional sections in `config` as the agent numbers them."""
    sections = [s.section for s in COMPONENTS if "port" in config.get(s.section, {})]
    first_port = FIRST_BUS + len(config["buses"])
    return [
        SectionPort(first_port + i, name, str(config[name]["port"]))
        for i, name in enumerate(sections)
    ]


def first_free_port(config: dict[str, Any]) -> int:
    """Return the first port number after those of the optional sections."""
    return FIRST_BUS + len(config["buses"]) + len(assign_ports(config))
