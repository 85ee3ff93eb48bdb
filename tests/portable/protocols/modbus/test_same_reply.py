# SPDX-License-Identifier: Apache-2.0
"""A reply to a read that is equal to the one before: its check and its values are those of then."""

from protocols.modbus import pdu
from protocols.modbus.crc import with_crc
from protocols.modbus.rtu import RtuClient
from tests.portable.support.check import eq


def test_a_reply_equal_to_the_last_one():
    """The values are those of the request that is answered, also if replies of two alternate."""
    first, second = with_crc(b"\x05\x03\x02\x00\x01"), with_crc(b"\x05\x03\x02\x00\x02")
    damaged = first[:4] + b"\x09" + first[5:]
    requests = (pdu.read_holding(16, 1), pdu.read_holding(99, 1))
    client = RtuClient()
    for reply, value in ((first, 1), (first, 1), (second, 2), (damaged, 0), (first, 1)):
        for request in requests:
            client.start(5, request)
            expected = ("ok", 0, (value,)) if value else None
            eq((reply, client.feed(reply)), (reply, expected))
            client.stop()
            client.start(6, request)
            eq(client.feed(first), None)  # of another unit
            client.stop()
