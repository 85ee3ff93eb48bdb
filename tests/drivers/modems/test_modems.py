# SPDX-License-Identifier: Apache-2.0
"""Modem drivers against emulated modems, with and without faults, in virtual time."""

import pytest

from protocols.modem import sbd
from tests.drivers.modems.modem_rig import ModemRig

CONTENT = bytes(range(256)) + b"\r\nOK\r\nSBDRING\r\nERROR\r\nREADY\r\n"


@pytest.mark.parametrize("kind", ["sbd", "imt", "ntn", "rdss"])
def test_datagram_reaches_gateway(kind: str) -> None:
    rig = ModemRig(kind)
    rig.wait_ready()
    content = CONTENT[: rig.driver.max_bytes]
    rig.send(content, 7)
    assert rig.run_until("sent") == ("sent", 7)
    assert rig.contents() == [content]
    assert rig.driver.faults == 0


@pytest.mark.parametrize("kind", ["sbd", "imt", "ntn"])
def test_downlink_datagram_is_received(kind: str) -> None:
    rig = ModemRig(kind)
    rig.wait_ready()
    downlink = CONTENT[:200]
    rig.gateway.queue_downlink(rig.device.serial, downlink)
    rig.send(b"up")
    assert rig.run_until("received") == ("received", downlink)


def test_long_message_is_sent_in_segments() -> None:
    rig = ModemRig("imt")
    rig.wait_ready()
    content = bytes(i * 7 & 255 for i in range(10_000))
    rig.send(content)
    rig.run_until("sent")
    assert rig.contents() == [content]


def test_ring_alert_starts_fetch_without_duplicate_send() -> None:
    rig = ModemRig("sbd")
    rig.wait_ready()
    rig.send(b"up")
    rig.run_until("sent")
    rig.gateway.queue_downlink(rig.device.serial, b"news")
    for _, data in rig.device.send_ring_alert():
        rig.line.inject(data)
    assert rig.run_until("ring_alert", 5)
    rig.fetch()
    assert rig.run_until("fetched")[1] is True
    assert rig.run_until("received") == ("received", b"news")
    assert rig.contents() == [b"up"]
    assert rig.gateway.empty_sessions == 0


@pytest.mark.parametrize("chunk", [1, 32])
def test_ring_alert_at_every_byte_of_responses(chunk: int) -> None:
    rig = ModemRig("sbd", chunk=chunk)
    rig.wait_ready()
    for at in range(48):
        rig.device.ring_alert_at = at
        rig.gateway.queue_downlink(rig.device.serial, b"down OK\r\n%d" % at)
        rig.send(b"up %d" % at, at)
        assert rig.run_until("sent") == ("sent", at)
        assert rig.run_until("received") == ("received", b"down OK\r\n%d" % at)
        rig.run(1)
    assert rig.contents() == [b"up %d" % at for at in range(48)]
    assert rig.driver.resets == 0


def test_every_status_value() -> None:
    rig = ModemRig("sbd")
    rig.wait_ready()
    for value in range(5, 256):
        rig.device.force_status = [value]
        rig.send(b"x", value)
        kind, tag, outcome, reason, may_be_billed = rig.run_until("send_failed")
        assert (kind, tag) == ("send_failed", value)
        assert outcome == sbd.interpret_status(value)[0] != sbd.SENT
        assert reason
        assert may_be_billed == (value not in sbd.NOT_TRANSMITTED)
    rig.send(b"x")
    rig.run_until("sent")
    assert rig.device.empty_tries == 0


@pytest.mark.parametrize("when", ["transfer", "session"])
def test_reset_clears_modem_buffer_without_empty_session(when: str) -> None:
    rig = ModemRig("sbd")
    rig.wait_ready()
    rig.device.reset_in = when
    rig.send(b"first")
    assert rig.run_until("send_failed")[2] == sbd.RETRY
    rig.run_until("ready", 200)
    if not rig.driver.ready:
        rig.run_until("ready", 200)
    rig.run(5)
    rig.send(b"first")
    rig.run_until("sent")
    assert rig.contents() == [b"first"]
    assert rig.device.empty_tries == 0


def test_unnoticed_restart_between_two_attempts() -> None:
    rig = ModemRig("sbd")
    rig.wait_ready()
    rig.device.force_status = [18]
    rig.send(b"first")
    rig.run_until("send_failed")
    rig.device.reset(rig.world.now)
    rig.run(7)  # the modem is back before the driver sends a command
    rig.send(b"first")
    assert rig.run_until("send_failed")[2:] == (sbd.RETRY, "the modem was lost", False)  # it echoes
    rig.run_until("ready")
    rig.send(b"first")
    rig.run_until("sent")
    assert rig.device.empty_tries == 0
    assert rig.contents() == [b"first"]


def test_failed_session_is_retried_without_transfer() -> None:
    rig = ModemRig("sbd")
    rig.wait_ready()
    rig.device.force_status = [18]
    rig.send(b"first")
    rig.run_until("send_failed")
    rig.device.transfer_results = [2, 2, 2]
    rig.send(b"first")
    rig.run_until("sent")
    assert rig.device.transfer_results == [2, 2, 2]


def test_modem_that_rejects_transfers() -> None:
    rig = ModemRig("sbd")
    rig.wait_ready()
    rig.device.transfer_results = [2, 1, 3]
    rig.send(b"first")
    event = rig.run_until("send_failed")
    assert event[2:] == (sbd.RETRY, "the modem does not take the message", False)
    rig.device.transfer_results = [2, 2]
    rig.send(b"first")
    rig.run_until("sent")


def test_message_with_lost_acknowledgement() -> None:
    for kind in ("sbd", "imt"):
        rig = ModemRig(kind)
        rig.wait_ready()
        rig.device.lose_acks = 1
        rig.send(b"twice")
        assert rig.run_until("send_failed")[2] == sbd.RETRY
        rig.send(b"twice")
        rig.run_until("sent")
        assert rig.contents() == [b"twice", b"twice"]  # equal bytes: the relay drops one


@pytest.mark.parametrize("kind", ["sbd", "imt", "ntn", "ip", "rdss"])
def test_dead_modem_is_reported_and_recovered(kind: str) -> None:
    rig = ModemRig(kind)
    rig.device.dead = True
    rig.run(60)
    assert not rig.driver.ready
    rig.device.dead = False
    rig.run_until("ready", 60)
    if kind != "rdss":  # the driver sends a terminal nothing without a message
        rig.device.dead = True
        assert rig.run_until("ready", 120) == ("ready", False)
    rig.device.dead = False
    rig.run(40)
    assert rig.driver.ready


def test_network_time() -> None:
    rig = ModemRig("sbd")
    rig.wait_ready()
    _, utc, mono = rig.run_until("time", 900)
    assert 0 <= rig.world.utc(mono) - utc < 500_000


def test_signal_and_service() -> None:
    rig = ModemRig("sbd", bars=3)
    rig.wait_ready()
    assert ("signal", 3) in rig.events
    assert ("service", True) in rig.events
    rig.bars = 0
    assert rig.run_until("service", 30) == ("service", True)
    assert rig.run_until("service", 30) == ("service", False)


def test_status_of_ip_modem() -> None:
    rig = ModemRig("ip")
    rig.wait_ready()
    assert rig.run_until("service", 30) == ("service", True)
    rig.bars = 0
    assert rig.run_until("service", 30) == ("service", False)
    assert not rig.driver.send(b"x", 1, rig.world.now)


def test_rejected_datagrams_of_ntn_and_rdss() -> None:
    rig = ModemRig("ntn")
    rig.wait_ready()
    rig.device.rejected_sends = 1
    rig.send(b"x")
    assert rig.run_until("send_failed")[2] == sbd.RETRY
    rig = ModemRig("rdss")
    rig.wait_ready()
    rig.device.rejected_sends = 1
    rig.send(b"x")
    assert rig.run_until("send_failed")[2] == sbd.WAIT
    rig.send(b"x")
    rig.run_until("sent")
    assert not rig.driver.send(b"y", 2, rig.world.now)  # one a minute
    rig.run(61)
    rig.send(b"y")


def test_imt_modem_with_junk_lines_and_restarts() -> None:
    rig = ModemRig("imt")
    rig.device.junk_before_answers = True
    rig.wait_ready()
    rig.send(b"x" * 3000)
    rig.run_until("sent")
    assert rig.driver.reader.bad_lines > 5
    rig.device.reset_next = True
    rig.send(b"x" * 3000)
    assert rig.run_until("send_failed", 400)[2] == sbd.RETRY
    rig.run_until("ready", 100)
    rig.run(20)
    for outcome in ("message_discarded_on_overflow", "a_word_of_the_future", "invalid_topic"):
        rig.device.force_status = [outcome]
        rig.send(b"y")
        assert rig.run_until("send_failed")[3] == outcome
    rig.send(b"y")
    rig.run_until("sent")


def test_radio_off_and_on() -> None:
    rig = ModemRig("sbd")
    rig.wait_ready()
    rig.driver.set_radio(False, rig.world.now)
    rig._process_outbox()
    rig.run(5)
    assert not rig.driver.send(b"x", 1, rig.world.now)
    rig.driver.set_radio(True, rig.world.now)
    rig._process_outbox()
    rig.run(10)
    rig.send(b"x")
    rig.run_until("sent")
