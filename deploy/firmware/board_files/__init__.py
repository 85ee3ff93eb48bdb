# SPDX-License-Identifier: Apache-2.0
"""Descriptions of boards, one TOML file a board: pins, UARTs, buffers, flash, watchdog.

A new board needs a file here and entries of its build; see docs/engineer/firmware.md. The firmware
freezes `UARTS`, `PINS` and `LOG` of its board as `_board_data`; the ports of the agent read it
(drivers/ports/micropython/board_data.py). The tests compare the pins with the tables of the chips
in the source of MicroPython.
"""

import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
_UART_KEYS = ("tx", "rx", "direction", "tx_buffer", "rx_buffer", "capacity", "state_machine")
_PORTS_WITH_FREE_PINS = ("rp2", "esp32")
"""Ports whose `machine.UART` takes pins. Elsewhere they belong to the UART and are here to read."""


def names() -> list[str]:
    """Return the names of the described boards."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> dict[str, Any]:
    """Return the description of a board."""
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def board_module(name: str) -> bytes:
    """Return the module `_board_data` of a board."""
    data = load(name)
    is_free = data["port"] in _PORTS_WITH_FREE_PINS
    keys = [key for key in _UART_KEYS if is_free or key not in ("tx", "rx")]
    uarts = {
        uart["number"]: {key: uart[key] for key in keys if key in uart} for uart in data["uart"]
    }
    lines = [f"UARTS = {uarts!r}", f"PINS = {data['pins']!r}", f"LOG = {log_defaults(name)!r}"]
    return ("\n".join(lines) + "\n").encode()


def log_defaults(name: str) -> dict[str, int]:
    """Return the defaults of the section `log` on a board; empty: those of a server."""
    defaults: dict[str, int] = load(name).get("log", {})
    return defaults
