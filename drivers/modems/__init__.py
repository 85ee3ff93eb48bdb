# SPDX-License-Identifier: Apache-2.0
"""Satellite modem drivers as state machines: one module per family (see `base`). Portable."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.modems.base import ModemDriver

KINDS: "dict[str, tuple[str, str]]" = {
    "sbd": ("drivers.modems.sbd", "SbdDriver"),
    "imt": ("drivers.modems.imt", "ImtDriver"),
    "ntn": ("drivers.modems.ntn", "NtnDriver"),
    "ip": ("drivers.modems.ip", "IpDriver"),
    "rdss": ("drivers.modems.rdss", "RdssDriver"),
}
"""Kind in the configuration -> module and class; only the used one is loaded."""


def make_driver(kind: str, port: int, settings: "dict[str, Any]") -> "ModemDriver":
    """Create the driver of `kind` on port number `port`."""
    module, name = KINDS[kind]
    driver: ModemDriver = getattr(__import__(module, None, None, (name,)), name)(port, settings)
    return driver
