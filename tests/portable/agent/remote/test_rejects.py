# SPDX-License-Identifier: Apache-2.0
"""Rejected messages: each reject reason, and no effect of the message."""

from agent.remote.message.header import EPOCH_S
from agent.remote.message.reject import REJECT_REASONS
from protocols.signed_message import MAX_BYTES, PATCH
from tests.portable.support.check import eq
from tests.portable.support.remote_rig import (
    HOUR,
    LIMITER,
    OPERATOR,
    SAFE_VALVE,
    SETPOINT,
    START_S,
    STORE,
    UNKNOWN_SIGNER,
    key,
    make_command,
    make_patch,
    reject_reason,
    sign_message,
    start_rig,
)


def test_every_reject_reason():
    rig = start_rig()
    seen = []

    def is_refused(data, reason):
        eq(reject_reason(rig, data), reason)
        seen.append(reason)

    good = make_patch(rig, [(SETPOINT, 33)])
    bad = bytearray(good)
    bad[-1] ^= 1
    is_refused(b"nonsense", "malformed")
    is_refused(good[:-1], "malformed")
    is_refused(bytes(MAX_BYTES + 1), "too_large")
    is_refused(make_patch(rig, [(SETPOINT, 33)], group="africa"), "wrong_target")
    is_refused(make_patch(rig, [(SETPOINT, 33)], target="s1/u2"), "bad_signature")
    is_refused(make_patch(rig, [(SETPOINT, 33)], base=bytes(32)), "bad_signature")
    is_refused(bytes(bad), "bad_signature")
    is_refused(make_patch(rig, [(SETPOINT, 33)], (UNKNOWN_SIGNER,)), "unknown_signer")
    is_refused(make_patch(rig, [(SETPOINT, 33)], version=7), "wrong_base")
    old = make_patch(rig, [(SETPOINT, 33)], counter_s=1_767_225_600, hours=0)
    is_refused(old, "replay")
    is_refused(make_patch(rig, [(99, 33)], (OPERATOR, LIMITER)), "unknown_key")
    is_refused(make_patch(rig, [(SAFE_VALVE, 70)], (OPERATOR,), START_S + 9), "wrong_role")
    at = START_S + 10
    is_refused(make_patch(rig, [("limits.x", 3)], (OPERATOR, LIMITER), at), "unknown_key")
    is_refused(make_patch(rig, [(SETPOINT, 38)], (OPERATOR,), at + 1), "too_big_step")
    is_refused(make_patch(rig, [(SAFE_VALVE, 101)], (OPERATOR, LIMITER), at + 2), "out_of_range")
    is_refused(make_patch(rig, [(SETPOINT, 33)], (OPERATOR,), at), "rollback")
    late = make_patch(rig, [(SETPOINT, 33)], (OPERATOR,), at + 3, not_before_s=at + HOUR)
    rig.send(late)
    rig.run(1)
    eq(rig.manager.schedule.counter(), at + 3 - EPOCH_S)
    is_refused(make_command("shed"), "unsupported")
    rig.send(make_patch(rig, [(SETPOINT, 33)], (OPERATOR,), at + 4))
    rig.run(1)
    eq(rig.agent.supply_loop.setpoint, 33)
    is_refused(make_patch(rig, [(SETPOINT, 34)], (OPERATOR,), at + 5), "busy")
    is_refused(make_command("confirm", [("counter", 5)], counter_s=START_S + 1), "no_trial")
    named = [("counter", at + 4 - EPOCH_S)]
    is_refused(make_command("confirm", named, counter_s=START_S + 2), "not_yet")
    far = START_S + 401 * 24 * HOUR
    is_refused(make_patch(rig, [(SETPOINT, 33)], (OPERATOR,), far), "ahead")
    rig.deliver("event", STORE, "failed")
    is_refused(make_patch(rig, [(SETPOINT, 33)], (OPERATOR,), at + 6), "store")
    rig.agent.clock.utc = lambda _: (at + 48 * HOUR) * 1_000_000
    rig.agent.clock.state = lambda _: "sync"
    rig.run(3)  # the store is opened again
    is_refused(make_patch(rig, [(SETPOINT, 33)], (OPERATOR,), at + 7), "expired")
    eq([word for word in REJECT_REASONS if word not in seen], [])


def test_verification_delays_no_tick():
    rig = start_rig()
    late = rig.agent.ticks.missed
    for i in range(12):
        rig.send(make_patch(rig, [(SETPOINT, 33)], target="other", counter_s=START_S + i))
        rig.run(0.3)
    eq(rig.agent.ticks.missed, late)
    eq(rig.manager.accepted_count, 0)


def test_hostile_messages_change_nothing():
    rig = start_rig()
    good = make_patch(rig, [(SETPOINT, 33)])
    for at in range(0, len(good), 3):
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8
        rig.manager.message(bytes(bad), rig.now)
        rig.run(0.2)
    eq((rig.agent.supply_loop.setpoint, rig.manager.accepted_count), (32, 0))
    eq(sorted(rig.store.records), ["audit.0"])
    rig.send(sign_message(PATCH, b"", (OPERATOR,)))
    rig.run(1)
    eq(rig.manager.accepted_count, 0)
    assert key(OPERATOR).public != key(LIMITER).public
