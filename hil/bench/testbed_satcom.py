# SPDX-License-Identifier: Apache-2.0
"""The satellite link of a row: modem, emulated sky, message gateway and ground.

Does not open a port: `hil.run.virtual` and `hil.run.real_bench` connect `device` to one. The
settings of the testbed determine the modem and the unit's section `modem`.
"""

from collections.abc import Callable
from typing import Any

from hil.bench.satcom_ground import SatcomGround
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.satcom.constellation import SHAPES, EmulatedSky
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.imt_modem import ImtModem
from hil.devices.satcom.ntn_modem import NtnModem
from hil.devices.satcom.radio import Radio
from hil.devices.satcom.rdss_terminal import RdssTerminal
from hil.devices.satcom.sbd_modem import SbdModem
from hil.kernel.world import World

SATCOM_KEY = bytes(range(32))
"""Secret that the modem and the ground share."""
UNIT = "bench/cdu1"
BAUD_RATES = {"sbd": 19_200, "imt": 230_400, "ntn": 115_200, "ip": 115_200, "rdss": 115_200}
KINDS = tuple(BAUD_RATES)
_BILLING = {"sbd": (50, 50), "imt": (1, 1), "ntn": (1, 1), "rdss": (1, 1), "ip": (1, 1)}
"""Kind of modem: the fewest bytes that are billed, and the step of billing, bytes."""

ModemDevice = SbdModem | ImtModem | NtnModem | RdssTerminal


class SatcomTestbed:
    """A modem of kind `settings.modem` with radio, gateway and ground. `site_e7`: 1e-7 degrees."""

    def __init__(self, world: World, settings: TestbedSettings, site_e7: tuple[int, int]) -> None:
        self.world = world
        self.sky = EmulatedSky(settings.sky, site_e7, settings.mask_deg)
        success_pct = settings.modem_success_pct
        self.radio = Radio(
            world.random("radio " + settings.modem),
            lambda now: self.sky.bars(world.utc(now)),
            success_pct if success_pct < 100 else None,
        )
        min_billed_bytes, billing_increment_bytes = _BILLING[settings.modem]
        self.gateway = MessageGateway(world.utc, min_billed_bytes, billing_increment_bytes)
        self.ground = SatcomGround(self.gateway, UNIT, SATCOM_KEY if _has_key(settings) else b"")
        self.device = make_device(settings.modem, self.radio, self.gateway, world)
        self.inject: Callable[[bytes], None] = lambda _: None
        """Puts unsolicited bytes on the line of the modem; the runner sets it."""
        self.char_us = -(-10 * 1_000_000 // BAUD_RATES[settings.modem])


def make_device(kind: str, radio: Radio, gateway: MessageGateway, world: World) -> ModemDevice:
    """Make the modem of `kind`."""
    if kind == "sbd":
        return SbdModem(radio, gateway, world.utc)
    if kind == "imt":
        return ImtModem(radio, gateway)
    if kind == "rdss":
        return RdssTerminal(radio, gateway)
    return NtnModem(radio, gateway, has_ip=kind == "ip")


def _has_key(settings: TestbedSettings) -> bool:
    """Return whether the ground acknowledges with a key; an NTN modem needs that."""
    return settings.modem_acks or settings.modem == "ntn"


def modem_section(settings: TestbedSettings) -> dict[str, Any]:
    """Return the section `modem` of the unit's configuration."""
    kind = settings.modem
    min_billed_bytes, billing_increment_bytes = _BILLING[kind]
    config: dict[str, Any] = {
        "port": f"serial:/virtual/modem?baud={BAUD_RATES[kind]}",
        "kind": kind,
        "region": "bench",
        "day_bytes": settings.modem_day_bytes,
        "live_s": settings.modem_live_s,
        "power": settings.modem_power,
        "bill_least": min_billed_bytes,
        "bill_step": billing_increment_bytes,
        "mask_deg": [round(settings.mask_deg)],
    }
    if _has_key(settings):
        config["key"] = SATCOM_KEY.hex()
    if settings.sky in SHAPES:
        config["constellation"] = SHAPES[settings.sky].section()
    return config
