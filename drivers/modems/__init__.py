# SPDX-License-Identifier: Apache-2.0
"""Satellite modem drivers as state machines: one module per family (see `base`). Portable."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.modems.base import ModemDriver
    from drivers.modems.regions.rule import Polygon, Rule

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


REGIONS = (
    "uae", "saudi_arabia", "qatar", "oman", "south_africa", "kenya", "nigeria", "china", "bench",
)  # fmt: skip
"""Regions with radio rules; each is a module of `drivers.modems.regions`."""


def load_rule(region: str, system: str) -> "tuple[Rule | None, tuple[Polygon, ...]]":
    """Return the radio rule of a system in a region, or None; and the polygons of the region."""
    from drivers.modems.regions.rule import parse_polygon  # noqa: PLC0415 - only with a modem

    module = __import__("drivers.modems.regions." + region, None, None, ("RULES",))
    rules: dict[str, Rule] = module.RULES
    return rules.get(system), tuple([parse_polygon(text) for text in module.POLYGONS])
