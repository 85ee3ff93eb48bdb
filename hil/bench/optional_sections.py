"""Optional parts of the emulated unit, by name: the section each adds to the configuration.

A scenario asks for them with `parts = "log, …"` in its `[row]`. A section's `port` that is a store
gets a `hil.io.store_endpoint.StoreEnd`; other kinds of port are joined by whoever adds the section.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from agent.agent import FIRST_BUS
from agent.core.registry import COMPONENTS
from hil.bench import operator_messages, receiver_choice, sections_cooling, testbed_satcom
from hil.bench.testbed_settings import TestbedSettings

_ENERGY_SECTION: dict[str, Any] = {
    "port": "store:/virtual/ledger",
    "save_s": 30,
    "meters": [
        {"role": "facility", "device": "meter", "point": "ImportkWh", "rolls_at": 1235},
        {"role": "it", "device": "meter_it", "point": "ImportkWh", "rolls_at": 1235},
        {"role": "loop", "device": "rpu", "point": "PowerWatts"},
    ],
}
"""The ledger of a row with `meters = 2`."""

SECTIONS: dict[str, Callable[[TestbedSettings], dict[str, Any]]] = {
    "log": lambda _: {"port": "store:/virtual/log", "at_risk_s": 10, "ack_key": "c0" * 16},
    "ledger": lambda _: dict(_ENERGY_SECTION),
    "cooling": sections_cooling.write_cooling,
    "safety": sections_cooling.write_safety,
    "throttle": lambda _: {},  # written by `hil.bench.load_bank`, which has the loads
    "remote": operator_messages.write_section,
    "modem": testbed_satcom.write_section,
    "modem_store": lambda _: {"port": "store:/virtual/modem"},
    "integrity": lambda _: {},
    "receiver_setup": receiver_choice.write_setup_section,
    "timekeeping": lambda _: {
        "port": "store:/virtual/time",
        "save_s": 60,
        "temperature": "rpu.AirInletTemperatureCelsius",
    },
}
"""Name of the section of the configuration, and how it is written for a row."""


class SectionPort(NamedTuple):
    """A port of the agent that belongs to an optional section."""

    number: int
    section: str
    address: str


def write_sections(settings: TestbedSettings) -> dict[str, Any]:
    """Write the sections that `settings` asks for."""
    return {name: SECTIONS[name](settings) for name in section_names(settings)}


def section_names(settings: TestbedSettings) -> list[str]:
    """Name the sections that `settings` asks for."""
    return [name.strip() for name in settings.parts.split(",") if name.strip()]


def number_ports(config: dict[str, Any]) -> list[SectionPort]:
    """Number the ports of the parts in `config` as the agent does: (port, section, address)."""
    sections = [s.section for s in COMPONENTS if "port" in config.get(s.section, {})]
    first_port = FIRST_BUS + len(config["buses"])
    return [
        SectionPort(first_port + i, name, str(config[name]["port"]))
        for i, name in enumerate(sections)
    ]


def first_free_port(config: dict[str, Any]) -> int:
    """The number of the port after those: further ports of parts begin there."""
    return FIRST_BUS + len(config["buses"]) + len(number_ports(config))
