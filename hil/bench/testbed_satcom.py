"""The satellite side of a row: a modem under an emulated sky, the gateway, the ground behind it.

Not the ports: `hil.run.virtual` and `hil.run.real_bench` join `device` to one. What a scenario asks for
stands in its setting; the unit's section `modem` is written from the same words.
"""

from collections.abc import Callable
from typing import Any

from hil.bench.satcom_ground import Ground
from hil.bench.testbed_settings import Setting
from hil.devices.satcom.constellation import SHAPES, EmulatedSky
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.imt_modem import ImtModem
from hil.devices.satcom.ntn_modem import NtnModem
from hil.devices.satcom.radio import Radio
from hil.devices.satcom.rdss_terminal import RdssTerminal
from hil.devices.satcom.sbd_modem import SbdModem
from hil.kernel.world import World

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
