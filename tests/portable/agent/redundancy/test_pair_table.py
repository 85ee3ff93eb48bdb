# SPDX-License-Identifier: Apache-2.0
"""The table of the pair gives the same states on each interpreter, in a long random walk."""

from agent.redundancy.beacon import (
    UNITS,
    Word,
    build_reply,
    build_request,
    parse_reply,
    parse_request,
)
from agent.redundancy.pair_table import (
    ACTIVE,
    STANDBY,
    LineEvents,
    may_write,
    request_of,
    start,
    step,
    timers_of,
    word_of,
)
from protocols.modbus.crc import crc16
from protocols.modbus.rtu import build_frame
from tests.portable.support.check import eq

KEY = bytes(range(32))


def walk(node, steps):
    """Return a checksum of the states of a walk with inputs of a linear congruence."""
    state, timers, seed, total = start(), timers_of(node), 7, 0
    for _ in range(steps):
        seed = (seed * 1_103_515_245 + 12_345) & 0x7FFFFFFF
        bits = seed >> 8
        events = LineEvents(
            bits & 3 != 0, bits & 28 == 0, bits & 224 == 0, 0, bits >> 9 & 3 and 0, 0, True
        )
        state = step(state, events, 100, timers)
        values = [int(value) for value in state] + [request_of(state), word_of(state, timers)]
        total = crc16(bytes([value & 0xFF for value in values]) + bytes([total & 0xFF, total >> 8]))
        total = total + may_write(state, timers) & 0xFFFF
    return total


def test_a_walk_gives_the_same_states_on_each_interpreter():
    eq((walk("a", 3000), walk("b", 3000)), EXPECTED)


def test_a_beacon_and_its_reply_are_read_back():
    word = Word(ACTIVE, 70_000, 65_535)
    frame = build_frame(UNITS["b"], build_request(KEY, UNITS["b"], word))
    eq(parse_request(KEY, UNITS["b"], frame), word)
    reply = build_frame(UNITS["b"], build_reply(KEY, UNITS["b"], Word(STANDBY, 1, 2)))
    eq(parse_reply(KEY, UNITS["b"], reply), Word(STANDBY, 1, 2))


def test_an_altered_beacon_is_refused():
    frame = build_frame(UNITS["b"], build_request(KEY, UNITS["b"], Word(ACTIVE, 5, 6)))
    reply = build_frame(UNITS["b"], build_reply(KEY, UNITS["b"], Word(STANDBY, 5, 6)))
    for at in range(len(frame) - 2):
        changed = frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]
        if at < 2 or at > 10:  # the spans are not read
            eq(parse_request(KEY, UNITS["b"], changed), None)
    for at in range(3, len(reply) - 2):
        changed = reply[:at] + bytes([reply[at] ^ 1]) + reply[at + 1 :]
        eq(parse_reply(KEY, UNITS["b"], changed), None)
    for size in range(len(frame)):
        eq(parse_request(KEY, UNITS["b"], frame[:size]), None)
    for size in range(len(reply)):
        eq(parse_reply(KEY, UNITS["b"], reply[:size]), None)
    eq(parse_request(b"x" * 32, UNITS["b"], frame), None)


EXPECTED = (4039, 33_137)
