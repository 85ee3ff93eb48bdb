"""The bench's satellite modems on real ports: one pseudo-terminal a kind, and a path for IP.

Not the modems (hil.devices) and not the agent's choice: all of them are there at once, each with a
gateway and a ground of its own. Names: `modem_sbd`, `modem_imt`, `modem_ntn`, `modem_ip`,
`modem_rdss`; behind `modem_ip` stands `ip_path`, a TCP port that leads to the broker through a
link of satellite shape (hil.io.shaped_path), open while the modem is registered. What a gateway gets goes
to a webhook when one is named; then `gateway` is the URL that takes what is to go down.
"""

from dataclasses import replace
from typing import Any

from hil.bench.testbed_satcom import BAUDS, KINDS, Satellite
from hil.bench.testbed_settings import Setting
from hil.devices.satcom.gateway import Upward
from hil.devices.satcom.ntn_modem import NtnModem
from hil.devices.satcom.sbd_modem import SbdModem
from hil.io.mt_server import MtServer
from hil.io.real_ports import PtyPort
from hil.io.shaped_path import ShapedPath
from hil.io.webhook import Webhook
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World
from hil.shells.realtime import RealTimeShell

_RANK = 200
_LOOK = 500_000


class RealModems:
    """All modems in `world`. `webhook`: URL that takes what comes up; `broker`: HOST:PORT."""

    def __init__(
        self,
        shell: RealTimeShell,
        setting: Setting,
        site_e7: tuple[int, int],
        broker: tuple[str, int] | None,
        webhook: str | None = None,
    ) -> None:
        self.world: World = shell.world
        self.ports: dict[str, str] = {}
        self.satellites: dict[str, Satellite] = {}
        self.path: ShapedPath | None = None
        self._pty: list[PtyPort] = []
        self._webhook = None if webhook is None else Webhook(webhook)
        self._down: MtServer | None = None
        for i, kind in enumerate(KINDS):
            self._add(shell, kind, replace(setting, modem=kind), site_e7, _RANK + i)
        if webhook is not None:
            known = {s.device.serial for s in self.satellites.values()}
            self._down = MtServer(known)
            self.ports["gateway"] = self._down.url
            self.world.at(0, self._send_down, self._down)
        if broker is not None:
            self.path = ShapedPath(shell, broker)
            self.ports["ip_path"] = f"tcp:127.0.0.1:{self.path.address[1]}"
            self.world.at(0, self._follow)

    def _add(
        self,
        shell: RealTimeShell,
        kind: str,
        setting: Setting,
        site_e7: tuple[int, int],
        rank: int,
    ) -> None:
        satellite = Satellite(self.world, setting, site_e7)
        port = PtyPort(shell)
        line = SerialLine(
            self.world, satellite.device, satellite.char_us, port.to_agent, rank, chunk=32
        )
        port.line = line
        satellite.say = line.say
        self._pty.append(port)
        self.satellites[kind] = satellite
        self.ports[f"modem_{kind}"] = f"serial:{port.path}?baud={BAUDS[kind]}"
        if self._webhook is not None:
            satellite.gateway.on_message = lambda upward: self._came(satellite, upward)

    def _came(self, satellite: Satellite, upward: Upward) -> None:
        satellite.ground.take(upward)
        if self._webhook is not None:
            self._webhook.post(upward, self.world.utc(upward.at))

    def _send_down(self, server: MtServer) -> None:
        """Queue what was posted for a modem, and let it ring."""
        while server.waiting:
            serial, content = server.waiting.popleft()
            for satellite in self.satellites.values():
                if satellite.device.serial == serial:
                    satellite.gateway.post(serial, content)
                    if isinstance(satellite.device, SbdModem):
                        for _, data in satellite.device.ring():
                            satellite.say(data)
        self.world.at(self.world.now + _LOOK, self._send_down, server)

    def _follow(self) -> None:
        """Let the IP path be there while the modem is registered."""
        device: Any = self.satellites["ip"].device
        if self.path is not None and isinstance(device, NtnModem):
            self.path.set_up(device.attached)
        self.world.at(self.world.now + _LOOK, self._follow)

    def close(self) -> None:
        """Close every port."""
        for port in self._pty:
            port.close()
        if self.path is not None:
            self.path.close()
        if self._webhook is not None:
            self._webhook.close()
        if self._down is not None:
            self._down.close()
