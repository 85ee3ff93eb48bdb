"""Modems as state machines: one file a family, one shape for all (see `base`). Portable."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.modems.base import ModemDriver

KINDS: "dict[str, tuple[str, str]]" = {
    "sbd": ("drivers.modems.sbd", "Sbd"),
    "imt": ("drivers.modems.imt", "Imt"),
    "ntn": ("drivers.modems.ntn", "Ntn"),
    "ip": ("drivers.modems.ip", "Ip"),
    "rdss": ("drivers.modems.rdss", "Rdss"),
}
"""Kind of the configuration -> module and class; only the one that is used is loaded."""


def make_driver(kind: str, port: int, settings: "dict[str, Any]") -> "ModemDriver":
    """Make the modem of `kind` on port number `port`."""
    module, name = KINDS[kind]
    driver: ModemDriver = getattr(__import__(module, None, None, (name,)), name)(port, settings)
    return driver
