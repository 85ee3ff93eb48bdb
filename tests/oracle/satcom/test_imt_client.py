# SPDX-License-Identifier: Apache-2.0
"""The emulated 9704 against the vendor's C library, by its Python wheel, over a pseudo-terminal."""

import json
import os
import pty
import select
import subprocess
import sys
import time
import tty
from random import Random

import pytest

from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.imt_modem import ImtModem
from hil.devices.satcom.radio import Radio
from tests.oracle.satcom.virtual_uart import UTC
from tests.support.repository import ROOT

pytest.importorskip("rockblock", reason="no wheel of rockblock9704 for this machine")

DOWN = bytes(i * 11 & 255 for i in range(2_700))


class QuickRadio(Radio):
    """A radio whose sessions take a twentieth of their time."""

    def random_us(self, min_s: float, max_s: float) -> int:
        """Return a random time, µs."""
        return super().random_us(min_s / 20, max_s / 20)


def _serve(fd: int, device: ImtModem, process: "subprocess.Popen[bytes]") -> None:
    """Connect the modem with the pseudo-terminal until the client ends."""
    start = time.monotonic()
    pending: list[tuple[int, int, bytes]] = []
    count = 0
    while process.poll() is None:
        now = int((time.monotonic() - start) * 1e6)
        due = min([device.deadline(), *(item[0] for item in pending)])
        ready, _, _ = select.select([fd], [], [], max(0.0, min(0.02, (due - now) / 1e6)))
        now = int((time.monotonic() - start) * 1e6)
        replies = device.receive(os.read(fd, 4096), now) if ready else []
        if now >= device.deadline():
            replies += device.wake(now)
        for delay, data in replies:
            count += 1
            pending.append((now + delay, count, data))
        pending.sort()
        while pending and pending[0][0] <= now:
            os.write(fd, pending.pop(0)[2])


def test_vendor_library() -> None:
    gateway = MessageGateway(lambda now: UTC + now)
    radio = QuickRadio(Random(1), lambda _: 5)
    radio.success_pct = 100
    device = ImtModem(radio, gateway)
    gateway.observe_messages(
        lambda uplink: (
            gateway.queue_downlink(device.serial, DOWN) if uplink.content == b"fetch" else None
        )
    )
    master, slave = pty.openpty()
    tty.setraw(slave)
    command = [sys.executable, "-m", "tests.oracle.satcom.imt_client", os.ttyname(slave)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        _serve(master, device, process)
        assert process.stdout is not None
        output = process.stdout.read()
    os.close(master)
    os.close(slave)
    assert process.returncode == 0, output
    seen = json.loads(output.splitlines()[-1])
    assert bytes.fromhex(seen.pop("received")) == DOWN
    assert seen.pop("activity_status")["enabled"] is True
    done, started = seen.pop("async_done"), seen.pop("async_started")
    assert len(done) == len(started) == 1
    long = bytes(i * 7 & 255 for i in range(5_000))
    sent = [message.content for message in gateway.messages]
    assert sent == [b"hello", long, b"red", b"fetch", b"later"]
    assert seen == {
        "begin": True, "hardware_version": "0x0601", "serial_number": "e00010",
        "imei": device.serial, "board_temp": 24, "card_present": True, "sim_connected": True,
        "iccid": "8988169771000000000", "firmware_version": "v1.5.5", "signal": 5,
        "activity": True, "send": True, "send_long": True, "send_topic": True,
        "send_unknown": False, "resync": True, "trigger": True, "async": True, "end": True,
    }  # fmt: skip
