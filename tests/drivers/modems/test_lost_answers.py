# SPDX-License-Identifier: Apache-2.0
"""Drivers whose modem's answers are lost, late, or come twice."""

import pytest

from tests.drivers.modems.modem_rig import ModemRig

_END_OF_CLEAR = b"\r\n0\r\n\r\nOK\r\n"
"""The answer to AT+SBDD0, and to a message that was transferred."""


def test_an_answer_that_comes_twice_is_no_transfer() -> None:
    """The modem still has the message before; a session would send that one again."""
    rig = ModemRig("sbd")
    rig.wait_ready()
    rig.radio.success_pct = 0
    rig.send(b"first", 1)
    rig.run_until("send_failed")
    rig.radio.success_pct = 100
    write, is_first = rig.line.write, [True]

    def lose(data: bytes) -> None:
        if data.startswith(b"AT+SBDWB") and is_first:
            is_first.clear()
            rig.line.inject(_END_OF_CLEAR)
            return
        write(data)

    rig.line.write = lose  # type: ignore[method-assign]
    rig.send(b"second", 2)
    assert rig.run_until("sent") == ("sent", 2)
    assert rig.contents() == [b"second"]


def test_a_ready_that_comes_late_writes_nothing() -> None:
    rig = ModemRig("sbd")
    rig.wait_ready()
    written: list[bytes] = []
    write = rig.line.write
    rig.line.write = lambda data: (written.append(data), write(data))[1]  # type: ignore[method-assign,assignment,func-returns-value]
    rig.line.inject(b"\r\nREADY\r\n")
    rig.run(5)
    rig.send(b"hello")
    rig.line.inject(b"\r\nREADY\r\n\r\nREADY\r\n")
    rig.run_until("sent")
    assert len([data for data in written if data.startswith(b"hello")]) == 1
    assert rig.contents() == [b"hello"]


@pytest.mark.parametrize("asks", [True, False])
def test_a_modem_that_has_restarted_without_a_word_is_set_up_again(asks: bool) -> None:
    rig = ModemRig("imt")
    rig.wait_ready()
    receive = rig.driver.receive
    rig.driver.receive = lambda data, now: None if b"bootInfo" in data else receive(data, now)
    rig.device.reset(rig.world.now)
    rig.run(9)
    rig.driver.receive = receive
    rig.events.clear()
    if asks:
        rig.send(b"x", 1)
        rig.run_until("send_failed")
    rig.wait_ready()
    rig.send(b"y", 2)
    rig.run_until("sent")
    assert rig.contents() == [b"y"]


def test_a_few_rejected_requests_change_nothing() -> None:
    rig = ModemRig("imt")
    rig.wait_ready()
    rig.events.clear()
    for _ in range(5):
        rig.line.inject(b"400 MALFORMED {}\r" * 3)
        rig.run(11)
    assert ("ready", False) not in rig.events
    rig.send(b"y", 2)
    rig.run_until("sent")


def test_a_late_answer_to_a_query_is_not_the_end_of_a_message() -> None:
    """A message has no answer but OK, and a query that has timed out can still answer it."""
    rig = ModemRig("ntn")
    rig.wait_ready()
    receive, held = rig.driver.receive, [b""]

    def hold(data: bytes, now: int) -> None:
        held[0] += data

    rig.driver.receive = hold
    rig.run(13.5)  # a poll, and its first query times out
    rig.driver.receive = receive
    rig.radio.success_pct = 0
    rig.events.clear()
    rig.driver.send(b"lost", 1, rig.world.now)
    rig._process_outbox()
    receive(held[0], rig.world.now)
    rig._process_outbox()
    rig.run(60)
    assert [event for event in rig.events if event[0] == "sent"] == []
    rig.radio.success_pct = 100
    for _ in range(30):
        if rig.driver.send(b"good", 2, rig.world.now):
            break
        rig.run(1)
    rig._process_outbox()
    assert rig.run_until("sent") == ("sent", 2)
    assert rig.contents() == [b"good"]


@pytest.mark.parametrize("text", [b'1,2,"014f4b"', b'1,4,"014f4b"', b'x,"014f4b"', b'"014f4b"'])
def test_the_emulated_modem_refuses_another_length(text: bytes) -> None:
    rig = ModemRig("ntn")
    rig.wait_ready()
    rig.line.write(b"AT+CSODCP=" + text + b"\r")
    rig.run(10)
    assert rig.contents() == []
