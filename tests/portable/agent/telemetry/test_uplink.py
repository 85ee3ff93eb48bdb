# SPDX-License-Identifier: Apache-2.0
"""The uplink: will, birth, rows at least once, back-off, and a broker that refuses."""

import json

from protocols.time_units import SECOND
from tests.portable.support.agent_rig import BROKER, CONSOLE, FIRST_BUS, AgentRig, config
from tests.portable.support.check import eq

STATE_TOPIC, ROWS_TOPIC = "coldloop/v1/s1/u1/state", "coldloop/v1/s1/u1/tele"
RETAIN, DUP = 1, 8


def births(rig):
    return [p for p in rig.broker.published if p[1] == STATE_TOPIC]


def rows(rig):
    return [json.loads(p[2])["seq"] for p in rig.broker.published if p[1] == ROWS_TOPIC]


def broker_opens(rig):
    return [second for second, port in rig.open_requests if port == BROKER]


def test_will_is_offline_and_retained():
    rig = AgentRig()
    rig.run(1)
    (connect,) = rig.broker.connects
    # protocol name and level, then the flags: will, QoS 1, retained, persistent session
    eq(connect[:8], b"\x00\x04MQTT\x04" + bytes((0x04 | 0x08 | 0x20,)))
    topic = STATE_TOPIC.encode()
    will = bytes((0, len(topic))) + topic + b'\x00\x10{"online":false}'
    eq(connect[10:], b"\x00\x05s1-u1" + will)


def test_user_and_password_are_sent():
    raw = config()
    raw["broker"].update({"username": "me", "password": "secret", "keepalive_s": 300})
    rig = AgentRig(raw)
    rig.run(1)
    (connect,) = rig.broker.connects
    eq((connect[7] & 0xC0, connect[8:10]), (0xC0, b"\x01\x2c"))
    assert connect.endswith(b"\x00\x02me\x00\x06secret")


def test_birth_is_retained_and_first():
    rig = AgentRig()
    rig.run(5)
    first, topic, payload = rig.broker.published[0]
    eq((first & (RETAIN | DUP), topic), (RETAIN, STATE_TOPIC))
    birth = json.loads(payload)
    eq((birth["online"], len(birth["points"])), (True, 12))
    eq(len(births(rig)), 1)
    eq(rows(rig), list(range(1, len(rows(rig)) + 1)))
    assert len(rows(rig)) >= 4


def test_the_birth_is_published_at_every_connection():
    rig = AgentRig()
    rig.run(2)
    for _ in range(3):
        rig.deliver("event", BROKER, "closed")
        assert not rig.agent.uplink.connected
        rig.run(4)
        assert rig.agent.uplink.connected
    eq([p[0] & RETAIN for p in births(rig)], [1, 1, 1, 1])


def test_birth_waits_while_too_many_are_in_flight():
    raw = config()
    raw["telemetry"]["period_ms"] = 100
    rig = AgentRig(raw)
    rig.run(1)
    rig.broker.acknowledges = False
    rig.run(4)
    rig.deliver("event", BROKER, "closed")
    rig.broker.published = []
    rig.run(4)
    eq((rig.agent.uplink.connected, births(rig)), (True, []))
    eq(len(rig.broker.published), 16)
    rig.broker.acknowledges = True
    rig.broker.published = []
    rig.deliver("event", BROKER, "closed")
    rig.run(4)
    eq(len(births(rig)), 1)


def test_rows_are_sent_again_after_a_loss_until_they_are_acknowledged():
    rig = AgentRig()
    rig.run(3)
    rig.broker.acknowledges = False
    rig.run(3)
    unacknowledged = rows(rig)[-3:]
    rig.broker.acknowledges = True
    rig.broker.published = []
    rig.deliver("event", BROKER, "closed")
    rig.run(5)
    again = [json.loads(p[2])["seq"] for p in rig.broker.published if p[0] & DUP]
    eq(again, unacknowledged)
    eq(sorted(set(rows(rig))), list(range(again[0], rows(rig)[-1] + 1)))  # no gap
    rig.run(0.5)
    eq(rig.agent.uplink.published - rig.agent.uplink.acknowledged, 0)


def test_rows_wait_while_the_broker_is_offline():
    rig = AgentRig(absent=(BROKER,))
    rig.run(15)
    queued = len(rig.agent.telemetry.queue)
    assert 14 <= queued <= 16
    rig.run(30)
    eq(len(rig.agent.telemetry.queue), 20)
    dropped = rig.agent.telemetry.dropped
    assert dropped >= 24
    rig.absent = set()
    rig.run(31)
    seqs = rows(rig)
    eq(seqs, list(range(seqs[0], seqs[-1] + 1)))
    eq(len(rig.agent.telemetry.queue), 0)
    eq(rig.agent.telemetry.dropped, seqs[0] - 1)


def test_absent_broker_is_retried_with_backoff():
    rig = AgentRig(absent=(BROKER,))
    rig.run(100)
    at = [int(second) for second in broker_opens(rig)]
    eq(at, [0, 1, 3, 7, 15, 31, 61, 91])
    eq(rig.agent.alarms.codes(), [])


def test_refusing_broker_is_retried_with_backoff():
    """The port opens each time; that alone is no success."""
    rig = AgentRig()
    rig.broker.code = 5
    rig.run(100)
    eq([int(second) for second in broker_opens(rig)], [0, 1, 3, 7, 15, 31, 61, 91])
    eq((rig.agent.uplink.connected, rig.agent.uplink.last_error), (False, "refused: 5"))
    rig.broker.code = 0
    rig.run(30)
    eq((rig.agent.uplink.connected, rig.agent.uplink.last_error), (True, ""))
    rig.deliver("event", BROKER, "closed")
    before = len(broker_opens(rig))
    rig.run(1.1)
    eq(len(broker_opens(rig)), before + 1)  # the back-off started again


def test_silent_broker_is_closed_after_ten_seconds():
    rig = AgentRig()
    rig.broker.is_silent = True
    rig.run(9.9)
    eq(rig.agent.uplink.link.is_open, True)
    rig.run(0.2)
    eq((rig.agent.uplink.link.is_open, rig.agent.uplink.last_error), (False, "broken: no CONNACK"))


def test_garbage_from_the_broker_closes_the_connection():
    rig = AgentRig()
    rig.run(5)
    count = rig.agent.ticks.count
    rig.deliver("receive", BROKER, b"\xff\xff\xff\xff\xff\xff")
    eq(rig.agent.uplink.link.is_open, False)
    assert rig.agent.uplink.last_error.startswith("broken: "), rig.agent.uplink.last_error
    rig.run(5)
    eq((rig.agent.uplink.connected, rig.agent.ticks.count), (True, count + 50))


def test_dead_link_is_detected_by_keep_alive():
    rig = AgentRig()
    rig.run(2)
    rig.broker.is_silent = True
    rig.broker.acknowledges = False
    rig.run(30 + 10 + 2)
    eq(rig.agent.uplink.connected, False)


def test_without_broker_no_port_is_opened():
    raw = config()
    raw.pop("broker")
    rig = AgentRig(raw)
    rig.run(4.5)
    eq((rig.agent.uplink, broker_opens(rig)), (None, []))
    eq(len(rig.agent.telemetry.queue), 5)
    assert CONSOLE < FIRST_BUS
    rig.deliver("event", BROKER, "opened")
    rig.deliver("receive", BROKER, b"\x20\x02\x00\x00")
    assert rig.agent.deadline() < rig.now + SECOND
