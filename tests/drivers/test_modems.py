"""Modem drivers against emulated modems, kind and hostile, in virtual time."""

import pytest

from protocols.modem import sbd
from tests.drivers.modem_rig import ModemRig

CONTENT = bytes(range(256)) + b"\r\nOK\r\nSBDRING\r\nERROR\r\nREADY\r\n"


@pytest.mark.parametrize("kind", ["sbd", "imt", "ntn", "rdss"])
def test_a_datagram_reaches_the_gateway(kind: str) -> None:
    rig = ModemRig(kind)
    rig.ready()
    content = CONTENT[: rig.driver.largest]
    rig.send(content, 7)
    assert rig.until("sent") == ("sent", 7)
    assert rig.contents() == [content]
    assert rig.driver.faults == 0


@pytest.mark.parametrize("kind", ["sbd", "imt", "ntn"])
def test_a_datagram_comes_down(kind: str) -> None:
    rig = ModemRig(kind)
    rig.ready()
    down = CONTENT[:200]
    rig.gateway.post(rig.device.serial, down)
    rig.send(b"up")
    assert rig.until("received") == ("received", down)


def test_a_long_message_goes_in_segments() -> None:
    rig = ModemRig("imt")
    rig.ready()
    content = bytes(i * 7 & 255 for i in range(10_000))
    rig.send(content)
    rig.until("sent")
    assert rig.contents() == [content]


def test_a_ring_makes_it_fetch_without_sending_twice() -> None:
    rig = ModemRig("sbd")
    rig.ready()
    rig.send(b"up")
    rig.until("sent")
    rig.gateway.post(rig.device.serial, b"news")
    for _, data in rig.device.ring():
        rig.line.say(data)
    assert rig.until("ring", 5)
    rig.fetch()
    assert rig.until("fetched")[1] is True
    assert rig.until("received") == ("received", b"news")
    assert rig.contents() == [b"up"]
    assert rig.gateway.empty_sessions == 0


@pytest.mark.parametrize("chunk", [1, 32])
def test_rings_before_every_byte_of_every_answer(chunk: int) -> None:
    rig = ModemRig("sbd", chunk=chunk)
    rig.ready()
    for at in range(48):
        rig.device.ring_at = at
        rig.gateway.post(rig.device.serial, b"down OK\r\n%d" % at)
        rig.send(b"up %d" % at, at)
        assert rig.until("sent") == ("sent", at)
        assert rig.until("received") == ("received", b"down OK\r\n%d" % at)
        rig.run(1)
    assert rig.contents() == [b"up %d" % at for at in range(48)]
    assert rig.driver.resets == 0


def test_every_status_value() -> None:
    rig = ModemRig("sbd")
    rig.ready()
    for value in range(5, 256):
        rig.device.force_status = [value]
        rig.send(b"x", value)
        kind, tag, word, why, paid = rig.until("unsent")
        assert (kind, tag) == ("unsent", value)
        assert word == sbd.status(value)[0] != sbd.SENT
        assert why
        assert paid == (value not in sbd.NEVER_ON_AIR)
    rig.send(b"x")
    rig.until("sent")
    assert rig.device.empty_tries == 0


@pytest.mark.parametrize("when", ["transfer", "session"])
def test_a_reset_loses_the_modem_s_buffer_and_no_session_is_empty(when: str) -> None:
    rig = ModemRig("sbd")
    rig.ready()
    rig.device.reset_in = when
    rig.send(b"first")
    assert rig.until("unsent")[2] == sbd.RETRY
    rig.until("ready", 200)
    if not rig.driver.ready:
        rig.until("ready", 200)
    rig.run(5)
    rig.send(b"first")
    rig.until("sent")
    assert rig.contents() == [b"first"]
    assert rig.device.empty_tries == 0


def test_a_silent_restart_between_two_tries_of_one_message() -> None:
    rig = ModemRig("sbd")
    rig.ready()
    rig.device.force_status = [18]
    rig.send(b"first")
    rig.until("unsent")
    rig.device.reset(rig.world.now)
    rig.run(7)  # it is back before anybody has asked
    rig.send(b"first")
    assert rig.until("unsent")[2:] == (sbd.RETRY, "the modem was lost", False)  # it echoes
    rig.until("ready")
    rig.send(b"first")
    rig.until("sent")
    assert rig.device.empty_tries == 0
    assert rig.contents() == [b"first"]


def test_a_failed_session_is_tried_again_without_the_transfer() -> None:
    rig = ModemRig("sbd")
    rig.ready()
    rig.device.force_status = [18]
    rig.send(b"first")
    rig.until("unsent")
    rig.device.refuse = [2, 2, 2]
    rig.send(b"first")
    rig.until("sent")
    assert rig.device.refuse == [2, 2, 2]


def test_a_modem_that_takes_no_message() -> None:
    rig = ModemRig("sbd")
    rig.ready()
    rig.device.refuse = [2, 1, 3]
    rig.send(b"first")
    event = rig.until("unsent")
    assert event[2:] == (sbd.RETRY, "the modem does not take the message", False)
    rig.device.refuse = [2, 2]
    rig.send(b"first")
    rig.until("sent")


def test_an_accepted_message_whose_acknowledgement_is_lost() -> None:
    for kind in ("sbd", "imt"):
        rig = ModemRig(kind)
        rig.ready()
        rig.device.lose_acks = 1
        rig.send(b"twice")
        assert rig.until("unsent")[2] == sbd.RETRY
        rig.send(b"twice")
        rig.until("sent")
        assert rig.contents() == [b"twice", b"twice"]  # the same bytes: the ground drops one


@pytest.mark.parametrize("kind", ["sbd", "imt", "ntn", "ip", "rdss"])
def test_a_dead_modem_is_lost_and_found(kind: str) -> None:
    rig = ModemRig(kind)
    rig.device.dead = True
    rig.run(60)
    assert not rig.driver.ready
    rig.device.dead = False
    rig.until("ready", 60)
    if kind != "rdss":  # a terminal is not asked again unless something is to be sent
        rig.device.dead = True
        assert rig.until("ready", 120) == ("ready", False)
    rig.device.dead = False
    rig.run(40)
    assert rig.driver.ready


def test_the_network_s_time() -> None:
    rig = ModemRig("sbd")
    rig.ready()
    _, utc, mono = rig.until("time", 900)
    assert 0 <= rig.world.utc(mono) - utc < 500_000


def test_signal_and_service() -> None:
    rig = ModemRig("sbd", bars=3)
    rig.ready()
    assert ("signal", 3) in rig.events
    assert ("service", True) in rig.events
    rig.bars = 0
    assert rig.until("service", 30) == ("service", True)
    assert rig.until("service", 30) == ("service", False)


def test_the_status_of_a_modem_that_is_an_interface() -> None:
    rig = ModemRig("ip")
    rig.ready()
    assert rig.until("service", 30) == ("service", True)
    rig.bars = 0
    assert rig.until("service", 30) == ("service", False)
    assert not rig.driver.send(b"x", 1, rig.world.now)


def test_refused_datagrams_of_ntn_and_rdss() -> None:
    rig = ModemRig("ntn")
    rig.ready()
    rig.device.refuse = 1
    rig.send(b"x")
    assert rig.until("unsent")[2] == sbd.RETRY
    rig = ModemRig("rdss")
    rig.ready()
    rig.device.refuse = 1
    rig.send(b"x")
    assert rig.until("unsent")[2] == sbd.WAIT
    rig.send(b"x")
    rig.until("sent")
    assert not rig.driver.send(b"y", 2, rig.world.now)  # one a minute
    rig.run(61)
    rig.send(b"y")


def test_a_9704_that_talks_junk_and_restarts() -> None:
    rig = ModemRig("imt")
    rig.device.junk_at = True
    rig.ready()
    rig.send(b"x" * 3000)
    rig.until("sent")
    assert rig.driver.reader.bad > 5
    rig.device.reset_next = True
    rig.send(b"x" * 3000)
    assert rig.until("unsent", 400)[2] == sbd.RETRY
    rig.until("ready", 100)
    rig.run(20)
    for word in ("message_discarded_on_overflow", "a_word_of_the_future", "invalid_topic"):
        rig.device.force_status = [word]
        rig.send(b"y")
        assert rig.until("unsent")[3] == word
    rig.send(b"y")
    rig.until("sent")


def test_the_radio_sleeps_and_wakes() -> None:
    rig = ModemRig("sbd")
    rig.ready()
    rig.driver.radio(False, rig.world.now)
    rig._carry_out()
    rig.run(5)
    assert not rig.driver.send(b"x", 1, rig.world.now)
    rig.driver.radio(True, rig.world.now)
    rig._carry_out()
    rig.run(10)
    rig.send(b"x")
    rig.until("sent")
