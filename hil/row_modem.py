"""The satellite side of a row: a modem under an emulated sky, the gateway, the ground behind it.

Not the ports: `hil.virtualrun` and `hil.realbench` join `device` to one. What a scenario asks for
stands in its setting; the unit's section `modem` is written from the same words.
"""

from collections.abc import Callable
from typing import Any

from hil.constellation import SHAPES, EmulatedSky
from hil.devices.gateway import MessageGateway
from hil.devices.imt_modem import ImtModem
from hil.devices.ntn_modem import NtnModem
from hil.devices.radio import Radio
from hil.devices.rdss_terminal import RdssTerminal
from hil.devices.sbd_modem import SbdModem
from hil.satground import Ground
from hil.setting import Setting
from hil.world import World

KEY = bytes(range(32))
UNIT = "bench/cdu1"
BAUDS = {"sbd": 19_200, "imt": 230_400, "ntn": 115_200, "ip": 115_200, "rdss": 115_200}
KINDS = tuple(BAUDS)
_BILLS = {"sbd": (50, 50), "imt": (1, 1), "ntn": (1, 1), "rdss": (1, 1), "ip": (1, 1)}

Device = SbdModem | ImtModem | NtnModem | RdssTerminal


class Satellite:
    """A modem of `setting.modem`, with what it talks to. `site_e7`: 1e-7 degrees."""

    def __init__(self, world: World, setting: Setting, site_e7: tuple[int, int]) -> None:
        self.world = world
        self.sky = EmulatedSky(setting.sky, site_e7, setting.mask_deg)
        self.radio = Radio(
            world.random("radio " + setting.modem), lambda now: self.sky.bars(world.utc(now))
        )
        if setting.modem_success_pct < 100:
            self.radio.success_pct = setting.modem_success_pct
        least, step = _BILLS[setting.modem]
        self.gateway = MessageGateway(world.utc, least, step)
        self.ground = Ground(self.gateway, UNIT, KEY if setting.modem_acks else b"")
        self.device = _device(setting.modem, self.radio, self.gateway, world)
        self.say: Callable[[bytes], None] = lambda _: None
        """Puts bytes on the modem's line unasked; set by whoever joins it."""
        self.char_us = -(-10 * 1_000_000 // BAUDS[setting.modem])


def _device(kind: str, radio: Radio, gateway: MessageGateway, world: World) -> Device:
    if kind == "sbd":
        return SbdModem(radio, gateway, world.utc)
    if kind == "imt":
        return ImtModem(radio, gateway)
    if kind == "rdss":
        return RdssTerminal(radio, gateway)
    return NtnModem(radio, gateway, has_ip=kind == "ip")


def section(setting: Setting) -> dict[str, Any]:
    """Write the unit's section `modem`."""
    kind = setting.modem
    least, step = _BILLS[kind]
    config: dict[str, Any] = {
        "port": f"serial:/virtual/modem?baud={BAUDS[kind]}",
        "kind": kind,
        "region": "bench",
        "day_bytes": setting.modem_day_bytes,
        "live_s": setting.modem_live_s,
        "power": setting.modem_power,
        "bill_least": least,
        "bill_step": step,
        "mask_deg": [round(setting.mask_deg)],
    }
    if setting.modem_acks:
        config["key"] = KEY.hex()
    if setting.sky in SHAPES:
        config["constellation"] = SHAPES[setting.sky].section()
    return config
