# SPDX-License-Identifier: Apache-2.0
"""The satellite modems of the bench on real ports: a pseudo-terminal for each kind, and an IP path.

Does not contain the modems; see `hil.devices.satcom`. All kinds exist at the same time, each with
its own gateway and ground. Names: `modem_sbd`, `modem_imt`, `modem_ntn`, `modem_ip`, `modem_rdss`.
`ip_path` belongs to `modem_ip`. It is a TCP port that leads to the broker with the delay and rate
of a satellite link (`hil.io.shaped_path`). It is open while the modem is registered. With a
webhook, the gateways post uplink messages there, and `gateway` is the URL for downlink messages.
"""

from dataclasses import replace
from typing import Any

from hil.bench.testbed_satcom import BAUD_RATES, KINDS, SatcomTestbed
from hil.bench.testbed_settings import TestbedSettings
from hil.devices.satcom.gateway import UplinkDatagram
from hil.devices.satcom.ntn_modem import NtnModem
from hil.devices.satcom.sbd_modem import SbdModem
from hil.io.mt_server import MAX_BYTES, MAX_LONG_BYTES, MtServer
from hil.io.real_ports import PtyPort
from hil.io.shaped_path import ShapedPath
from hil.io.webhook import Webhook
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World
from hil.shells.realtime import RealTimeShell

_RANK = 200
_POLL_US = 500_000


class RealModems:
    """All modems in the world of `shell`. `webhook`: URL for uplink messages; `broker`: address."""

    def __init__(
        self,
        shell: RealTimeShell,
        settings: TestbedSettings,
        site_e7: tuple[int, int],
        broker: tuple[str, int] | None,
        webhook: str | None = None,
    ) -> None:
        self.world: World = shell.world
        self.ports: dict[str, str] = {}
        self.testbeds: dict[str, SatcomTestbed] = {}
        self.ip_path: ShapedPath | None = None
        self._pty_ports: list[PtyPort] = []
        self._webhook = None if webhook is None else Webhook(webhook)
        self._downlink_server: MtServer | None = None
        for i, kind in enumerate(KINDS):
            self._add(shell, kind, replace(settings, modem=kind), site_e7, _RANK + i)
        if webhook is not None:
            limits = {
                satcom.device.serial: MAX_BYTES if kind == "sbd" else MAX_LONG_BYTES
                for kind, satcom in self.testbeds.items()
            }
            self._downlink_server = MtServer(limits)
            self.ports["gateway"] = self._downlink_server.url
            self.world.schedule(0, self._send_downlink, self._downlink_server)
        if broker is not None:
            self.ip_path = ShapedPath(shell, broker)
            self.ports["ip_path"] = f"tcp:127.0.0.1:{self.ip_path.address[1]}"
            self.world.schedule(0, self._update_ip_path)

    def _add(
        self,
        shell: RealTimeShell,
        kind: str,
        settings: TestbedSettings,
        site_e7: tuple[int, int],
        rank: int,
    ) -> None:
        satcom = SatcomTestbed(self.world, settings, site_e7)
        port = PtyPort(shell)
        line = SerialLine(self.world, satcom.device, satcom.char_us, port.to_agent, rank, chunk=32)
        port.connect(line)
        satcom.inject = line.inject
        self._pty_ports.append(port)
        self.testbeds[kind] = satcom
        self.ports[f"modem_{kind}"] = f"serial:{port.path}?baud={BAUD_RATES[kind]}"
        if self._webhook is not None:
            satcom.gateway.observe_messages(lambda uplink: self._on_uplink(satcom, uplink))

    def _on_uplink(self, satcom: SatcomTestbed, uplink: UplinkDatagram) -> None:
        if self._webhook is not None:
            self._webhook.post(uplink, self.world.utc(uplink.at_us))

    def _send_downlink(self, server: MtServer) -> None:
        """Queue posted messages for their modems, and send a ring alert."""
        while server.queue:
            serial, content = server.queue.popleft()
            for satcom in self.testbeds.values():
                if satcom.device.serial == serial:
                    satcom.gateway.queue_downlink(serial, content)
                    if isinstance(satcom.device, SbdModem):
                        for _, data in satcom.device.send_ring_alert():
                            satcom.inject(data)
        self.world.schedule(self.world.now + _POLL_US, self._send_downlink, server)

    def _update_ip_path(self) -> None:
        """Open the IP path while the modem is registered."""
        device: Any = self.testbeds["ip"].device
        if self.ip_path is not None and isinstance(device, NtnModem):
            self.ip_path.set_link_up(device.attached)
        self.world.schedule(self.world.now + _POLL_US, self._update_ip_path)

    def close(self) -> None:
        """Close all ports."""
        for port in self._pty_ports:
            port.close()
        if self.ip_path is not None:
            self.ip_path.close()
        if self._webhook is not None:
            self._webhook.close()
        if self._downlink_server is not None:
            self._downlink_server.close()
