# SPDX-License-Identifier: Apache-2.0
"""Any bytes into each state machine of Modbus: no exception, bounded buffers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.modbus import ascii_mode, pdu, rtu, tcp
from tests.oracle.modbus.mutated_bytes import REQUESTS, UNIT, run_bytes


def test_a_million_bytes() -> None:
    """Of all machines together."""
    counts = run_bytes(200_000, 1)
    assert len(counts) == 5
    assert min(counts.values()) >= 200_000


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_100_million_bytes_into_each_machine(seed: int) -> None:
    run_bytes(5_000_000, 100 + seed)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(REQUESTS), st.binary(max_size=260))
def test_any_reply_has_a_verdict(request: bytes, reply: bytes) -> None:
    for data in (reply, request[:1] + reply):
        verdict, code, values = pdu.check_reply(request, data)
        assert verdict
        assert 0 <= code <= 255
        assert all(0 <= value <= 65535 for value in values)
        assert pdu.expected_length(request, data) <= pdu.MAX_PDU
    pdu.parse_objects(tuple(reply))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8), st.sampled_from(REQUESTS), st.booleans())
def test_any_chunks_into_each_client(
    chunks: list[bytes], request: bytes, is_ambiguous: bool
) -> None:
    for client in (rtu.RtuClient(), tcp.TcpClient(), ascii_mode.AsciiClient()):
        client.start(UNIT, request, is_ambiguous)
        for chunk in chunks:
            result = client.feed(chunk)
            assert result is None or result[0]
            assert len(client.buffer) <= ascii_mode.MAX_BUFFER
        client.settle()
        client.stop()
        client.unanswered_others()
