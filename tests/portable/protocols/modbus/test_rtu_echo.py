# SPDX-License-Identifier: Apache-2.0
"""What a reply shows of the echo of the line, if bytes before it were classified earlier."""

from protocols.modbus import pdu
from protocols.modbus.crc import with_crc
from protocols.modbus.rtu import RtuClient
from tests.portable.support.check import eq

READ = pdu.read_holding(16, 2)
REPLY = with_crc(b"\x05\x03\x04\x00\x01\x00\x02")


def test_an_echo_before_the_last_reply_of_a_request_counts():
    """A reply is withdrawn, or an exception is that to another master: then the rest follows.

    The echo came before it, so the rest without an echo does not show that the line has none.
    """
    theirs = with_crc(bytes((5,)) + pdu.read_holding(99, 3))
    exception = with_crc(bytes((5, 0x83, 2)))
    client = RtuClient()
    frame = client.start(5, READ)
    eq(client.feed(frame + REPLY)[0], "ok")
    eq((client.line_echo, client.echo_known), (True, True))
    client.start(5, READ)
    eq(client.feed(frame + theirs + exception), None)
    eq(client.feed(REPLY)[0], "ok")
    eq((client.line_echo, client.echo_known), (True, True))
    client.start(5, READ)
    eq(client.feed(frame + REPLY)[0], "ok")
    eq(client.discard(), None)
    eq(client.feed(REPLY)[0], "ok")
    eq((client.line_echo, client.echo_known), (True, True))


def test_a_withdrawn_reply_does_not_show_that_the_line_has_no_echo():
    client = RtuClient()
    frame = client.start(5, READ)
    eq(client.feed(REPLY)[0], "ok")
    eq(client.discard(), None)
    eq(client.echo_known, False)
    result = client.feed(b"\xff" + frame[1:] + REPLY) or client.settle()  # its echo is damaged
    eq(result[0], "ok")
    eq(client.echo_known, False)
