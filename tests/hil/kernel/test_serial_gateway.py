# SPDX-License-Identifier: Apache-2.0
"""The gateway of a board: when it connects, and which bytes it drops."""

from agent.port_numbers import BROKER
from hil.shells.serial_gateway import SILENCE_US, SerialGateway

OPEN = (BROKER, "open", b"tcp:broker:1883")


def test_it_connects_at_the_first_byte_and_keeps_what_follows() -> None:
    gateway = SerialGateway("tcp:broker:1883")
    assert gateway.take(b"CON", 0) == [OPEN]
    assert gateway.take(b"NECT", 500) == []
    assert gateway.event("opened") == [(BROKER, "write", b"CONNECT")]
    assert gateway.take(b"PUBLISH", 1000) == [(BROKER, "write", b"PUBLISH")]


def test_the_rest_of_a_packet_does_not_begin_the_next_connection() -> None:
    """The broker ends a connection in the middle of a packet. Its rest would hide each CONNECT."""
    gateway = SerialGateway("tcp:broker:1883")
    gateway.take(b"first", 0)
    gateway.event("opened")
    assert gateway.event("closed") == []
    for at_us in range(0, 10 * SILENCE_US, SILENCE_US // 2):
        assert gateway.take(b"rest", at_us) == []
    assert gateway.take(b"CONNECT", 11 * SILENCE_US) == [OPEN]


def test_a_connection_that_fails_drops_its_bytes() -> None:
    gateway = SerialGateway("tcp:broker:1883")
    gateway.take(b"CONNECT", 0)
    assert gateway.event("failed") == []
    assert gateway.take(b"CONNECT", 2 * SILENCE_US) == [OPEN]
    assert gateway.event("opened") == [(BROKER, "write", b"CONNECT")]
