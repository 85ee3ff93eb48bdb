# SPDX-License-Identifier: Apache-2.0
"""Reads whose replies differ from those to a given request, and which requests only read.

Builds requests only; see `first_reply` for their use.
"""

from protocols.modbus import pdu

MAX_COUNT = {1: pdu.MAX_READ_BITS, 2: pdu.MAX_READ_BITS, 3: pdu.MAX_READ, 4: pdu.MAX_READ}
"""Values in one read, by function."""
_ADDRESSES = 65536
_BYTE = 8  # bits of one byte of a reply
_EXCEPTION_STATUS, _EVENT_COUNTER, _EVENT_LOG, _READ_FILE, _READ_FIFO = 7, 11, 12, 20, 24
_READ_ONLY = (
    *pdu.BIT_READS,
    *pdu.READS,
    pdu.REPORT_ID,
    pdu.DEVICE_ID,
    _EXCEPTION_STATUS,
    _EVENT_COUNTER,
    _EVENT_LOG,
    _READ_FILE,
    _READ_FIFO,
)
_RETURN_QUERY = b"\x08\x00\x00"


def is_read_only(request: bytes) -> bool:
    """Return whether a request is known to change nothing, so that it can be sent again.

    Other sub-functions of function 8 can restart the device or clear its counters.
    """
    return request[0] in _READ_ONLY or request.startswith(_RETURN_QUERY)


def longer_reads(request: bytes) -> "list[bytes]":
    """Return the same read of one and of two more values; their replies differ in length.

    Less than two if the request is no read, or near the longest one or the last address.
    """
    function, count = request[0], request[3] << 8 | request[4] if len(request) == 5 else 0
    if not count or function not in MAX_COUNT:
        return []
    address = request[1] << 8 | request[2]
    step = _BYTE if function in pdu.BIT_READS else 1
    limit = min(MAX_COUNT[function], _ADDRESSES - address)
    counts = (count + step, count + 2 * step)
    return [pdu.read(function, address, size) for size in counts if size <= limit]


def different_read(request: bytes) -> bytes:
    """Return a read whose good reply cannot be one to `request`.

    A longer read of the same values; else one value of a long read; else another function.
    """
    longer = longer_reads(request)
    if longer:
        return longer[0]
    is_read = len(request) == 5 and request[0] in MAX_COUNT
    count = request[3] << 8 | request[4] if is_read else 0
    if count > (_BYTE if is_read and request[0] in pdu.BIT_READS else 1):
        return pdu.read(request[0], request[1] << 8 | request[2], 1)
    return pdu.read_input(0, 1) if request[0] == pdu.READ_HOLDING else pdu.read_holding(0, 1)
