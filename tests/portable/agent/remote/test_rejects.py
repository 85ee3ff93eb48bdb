"""What a unit does not take: every reason to refuse a message, and no harm by any of them."""

from agent.remote.message.reject import WORDS
from protocols.signed_message import LONGEST, PATCH
from tests.portable.support.check import eq
from tests.portable.support.remote_rig import (
    HOUR,
    LIMITER,
    OPERATOR,
    SAFE_VALVE,
    SETPOINT,
    START_S,
    STORE,
    STRANGER,
    a_command,
    a_patch,
    key,
    refused,
    running,
    signed,
)

HEAP = "512wK"  # two agents at a time, a signer, and what they say


def test_every_reason_to_refuse():
    rig = running()
    seen = []

    def is_refused(data, reason):
        eq(refused(rig, data), reason)
        seen.append(reason)

    good = a_patch(rig, [(SETPOINT, 33)])
    bad = bytearray(good)
    bad[-1] ^= 1
    is_refused(b"nonsense", "malformed")
    is_refused(good[:-1], "malformed")
    is_refused(bytes(LONGEST + 1), "too_large")
    is_refused(a_patch(rig, [(SETPOINT, 33)], group="africa"), "wrong_target")
    is_refused(a_patch(rig, [(SETPOINT, 33)], target="s1/u2"), "bad_signature")
    is_refused(a_patch(rig, [(SETPOINT, 33)], base=bytes(32)), "bad_signature")
    is_refused(bytes(bad), "bad_signature")
    is_refused(a_patch(rig, [(SETPOINT, 33)], (STRANGER,)), "unknown_signer")
    is_refused(a_patch(rig, [(SETPOINT, 33)], version=7), "wrong_base")
    old = a_patch(rig, [(SETPOINT, 33)], counter_s=1_767_225_600, hours=0)
    is_refused(old, "replay")
    is_refused(a_patch(rig, [(99, 33)], (OPERATOR, LIMITER)), "unknown_key")
    is_refused(a_patch(rig, [(SAFE_VALVE, 70)], (OPERATOR,), START_S + 9), "wrong_role")
    at = START_S + 10
    is_refused(a_patch(rig, [("limits.x", 3)], (OPERATOR, LIMITER), at), "unknown_key")
    is_refused(a_patch(rig, [(SETPOINT, 38)], (OPERATOR,), at + 1), "too_big_step")
    is_refused(a_patch(rig, [(SAFE_VALVE, 101)], (OPERATOR, LIMITER), at + 2), "out_of_range")
    is_refused(a_patch(rig, [(SETPOINT, 33)], (OPERATOR,), at), "rollback")
    late = a_patch(rig, [(SETPOINT, 33)], (OPERATOR,), at + 3, not_before_s=at + HOUR)
    is_refused(late, "not_yet")
    is_refused(a_command("shed"), "unsupported")
    rig.send(a_patch(rig, [(SETPOINT, 33)], (OPERATOR,), at + 4))
    rig.run(1)
    eq(rig.agent.supply.setpoint, 33)
    is_refused(a_patch(rig, [(SETPOINT, 34)], (OPERATOR,), at + 5), "busy")
    is_refused(a_command("confirm", [("counter", 5)], counter_s=START_S + 1), "no_trial")
    rig.give("event", STORE, "failed")
    is_refused(a_patch(rig, [(SETPOINT, 33)], (OPERATOR,), at + 6), "store")
    rig.agent.clock.utc = lambda _: (at + 48 * HOUR) * 1_000_000
    rig.agent.clock.state = lambda _: "sync"
    rig.run(3)  # the store is opened again
    is_refused(a_patch(rig, [(SETPOINT, 33)], (OPERATOR,), at + 7), "expired")
    eq([word for word in WORDS if word not in seen], [])


def test_no_tick_is_late_for_a_verification():
    rig = running()
    late = rig.agent.ticks.missed
    for i in range(12):
        rig.send(a_patch(rig, [(SETPOINT, 33)], target="other", counter_s=START_S + i))
        rig.run(0.3)
    eq(rig.agent.ticks.missed, late)
    eq(rig.desk.accepted, 0)


def test_hostile_messages_change_nothing():
    rig = running()
    good = a_patch(rig, [(SETPOINT, 33)])
    for at in range(0, len(good), 3):
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8
        rig.desk.message(bytes(bad), rig.now)
        rig.run(0.2)
    eq((rig.agent.supply.setpoint, rig.desk.accepted), (32, 0))
    eq(sorted(rig.store.records), ["audit.0"])
    rig.send(signed(PATCH, b"", (OPERATOR,)))
    rig.run(1)
    eq(rig.desk.accepted, 0)
    assert key(OPERATOR).public != key(LIMITER).public
