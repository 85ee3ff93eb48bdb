# SPDX-License-Identifier: Apache-2.0
"""The description of this board: pins and buffers of its UARTs, defaults of its log.

The firmware of a board freezes its description as `_board_data` and loads it at the start
(deploy/firmware/board_files). Elsewhere there is none, and the ports use their defaults.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def uart_data(number: str) -> "dict[str, Any]":
    """Return the description of a UART; empty if there is none.

    `tx`, `rx`, `direction`: pins; `tx_buffer`, `rx_buffer`: sizes to set, in bytes; `capacity`:
    bytes that a write takes without a wait.
    """
    try:
        import _board_data  # type: ignore[import-not-found]  # noqa: PLC0415 - boards only
    except ImportError:
        return {}
    found: dict[str, Any] = _board_data.UARTS.get(int(number), {})
    return found


def with_defaults(raw: "Any") -> "Any":
    """Return a configuration with the board's defaults of the section `log`.

    The flash of a board is smaller than that of a server. `raw` itself is not changed. Anything but
    an object is returned as it is.
    """
    section = raw.get("log") if isinstance(raw, dict) else None
    try:
        import _board_data  # noqa: PLC0415 - boards only
    except ImportError:
        return raw
    if not isinstance(section, dict) or not hasattr(_board_data, "LOG"):
        return raw
    completed: dict[str, Any] = dict(raw)
    completed["log"] = dict(_board_data.LOG)
    completed["log"].update(section)
    return completed
