# SPDX-License-Identifier: Apache-2.0
"""The set-up of a modem ends with a ready modem, whichever of its bytes is lost or changed."""

from typing import Any

import pytest

from protocols.time_units import NEVER
from tests.drivers.modems.modem_rig import ModemRig

KINDS = ["sbd", "imt", "ntn", "ip", "rdss"]
SET_UP_S = 40


class DamagedLine:
    """Changes the chunks that come from a modem; `numbers` of chunks to change."""

    def __init__(self, rig: ModemRig, numbers: set[int], how: str) -> None:
        self.count = 0
        self.numbers, self.how = numbers, how
        self.rig = rig
        self._receive = rig.driver.receive
        rig.driver.receive = self.receive
        rig.driver.event("closed", rig.world.now)
        rig.driver.event("opened", rig.world.now)
        rig._process_outbox()

    def receive(self, data: bytes, now: int) -> None:
        """Pass a chunk on."""
        self.count += 1
        if self.count in self.numbers:
            middle = len(data) // 2
            data = {
                "byte": data[:middle] + b"\xff" + data[middle + 1 :],
                "bit": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
                "lost": b"",
                "twice": data + data,
                "cut": data[:middle],
            }[self.how]
        self._receive(data, now)
        self.rig.driver.take_events()
        assert self.rig.driver.deadline() < NEVER


def chunks_of_set_up(kind: str) -> int:
    rig = ModemRig(kind)
    line = DamagedLine(rig, set(), "lost")
    rig.run(SET_UP_S)
    assert rig.driver.ready
    return line.count


@pytest.mark.parametrize("how", ["byte", "bit", "lost", "twice", "cut"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_damaged_chunk_delays_the_set_up_only(kind: str, how: str) -> None:
    for number in range(1, chunks_of_set_up(kind) + 1):
        rig = ModemRig(kind)
        DamagedLine(rig, {number}, how)
        rig.run(SET_UP_S + 60)
        assert rig.driver.ready, (number, rig.driver.deadline())


@pytest.mark.parametrize("kind", KINDS)
def test_two_damaged_chunks_delay_the_set_up_only(kind: str) -> None:
    count = chunks_of_set_up(kind)
    for number in range(1, count):
        for distance in (1, 2, count // 2):
            rig = ModemRig(kind)
            DamagedLine(rig, {number, number + distance}, "lost")
            rig.run(SET_UP_S + 120)
            assert rig.driver.ready, (number, distance)


def test_reports_of_an_imt_modem_answer_no_request() -> None:
    """A modem that reports, but answers nothing, is lost, and is set up again."""
    rig = ModemRig("imt")
    rig.wait_ready()
    report = b'299 constellationState {"constellation_visible": true, "signal_bars": 5}\r'
    receive: Any = rig.device.receive
    rig.device.receive = lambda *_: []
    for _ in range(100):
        rig.line.inject(report)
        rig.run(1)
        assert rig.driver.deadline() < NEVER
    assert not rig.driver.ready
    rig.device.receive = receive
    rig.run(30)
    assert rig.driver.ready
