"""Optional parts of the emulated unit, by name: the section each adds to the configuration.

A scenario asks for them with `parts = "log, …"` in its `[row]`. A section's `port` that is a store
gets a `hil.io.store_endpoint.StoreEnd`; other kinds of port are joined by whoever adds the section.
"""

from collections.abc import Callable
from typing import Any

from agent.agent import FIRST_BUS
from agent.core.registry import COMPONENTS
from hil.bench import operator_messages, receiver_choice, sections_cooling, testbed_satcom
from hil.bench.testbed_settings import Setting

_LEDGER: dict[str, Any] = {
    "port": "store:/virtual/ledger",
    "save_s": 30,
    "meters": [
        {"role": "facility", "device": "meter", "point": "ImportkWh", "rolls_at": 1235},
        {"role": "it", "device": "meter_it", "point": "ImportkWh", "rolls_at": 1235},
        {"role": "loop", "device": "rpu", "point": "PowerWatts"},
    ],
}
"""The ledger of a row with `meters = 2`."""

SECTIONS: dict[str, Callable[[Setting], dict[str, Any]]] = {
    "log": lambda _: {"port": "store:/virtual/log", "at_risk_s": 10, "ack_key": "c0" * 16},
    "ledger": lambda _: dict(_LEDGER),
    "cooling": sections_cooling.cooling,
    "safety": sections_cooling.safety,
    "throttle": lambda _: {},  # written by `hil.bench.load_bank`, which has the loads
    "remote": operator_messages.section,
    "modem": testbed_satcom.section,
    "modem_store": lambda _: {"port": "store:/virtual/modem"},
    "integrity": lambda _: {},
    "receiver_setup": receiver_choice.setup,
    "timekeeping": lambda _: {
        "port": "store:/virtual/time",
        "save_s": 60,
        "temperature": "rpu.AirInletTemperatureCelsius",
    },
}
"""Name of the section of the configuration, and how it is written for a row."""


def sections(setting: Setting) -> dict[str, Any]:
    """Write the sections that `setting` asks for."""
    return {name: SECTIONS[name](setting) for name in names(setting)}


def names(setting: Setting) -> list[str]:
    """Name the sections that `setting` asks for."""
    return [word.strip() for word in setting.parts.split(",") if word.strip()]


def ports(config: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Number the ports of the parts in `config` as the agent does: (port, section, address)."""
    chosen = [s.section for s in COMPONENTS if "port" in config.get(s.section, {})]
    first = FIRST_BUS + len(config["buses"])
    return [(first + i, name, str(config[name]["port"])) for i, name in enumerate(chosen)]


def first_free(config: dict[str, Any]) -> int:
    """The number of the port after those: further ports of parts begin there."""
    return FIRST_BUS + len(config["buses"]) + len(ports(config))
