# SPDX-License-Identifier: Apache-2.0
"""The audit log: hash chain, recovery, truncated entries."""

from agent.remote.storage import audit
from agent.remote.storage.audit import (
    SEGMENT_BYTES,
    SEGMENTS,
    AuditLog,
    AuditReader,
    key_of,
    recover,
)
from tests.portable.support.check import eq
from tests.portable.support.remote_rig import (
    COUNTER,
    LIMITER,
    OPERATOR,
    SETPOINT,
    RemoteRig,
    RemoteStore,
    make_command,
    make_patch,
    start_rig,
)


def append_entry(log, store, text, result="done"):
    op, key, payload = log.prepare(1_800_000_000, [1, 2], text, 7, result)
    store.write(op, key.encode() + b"\0" + payload)
    log.commit()


def entries(store):
    """Return all entries of the ring in order, and whether the chain is valid."""
    walks = [
        AuditReader(store.records[key_of(i)]) for i in range(SEGMENTS) if key_of(i) in store.records
    ]
    walks = [walk for walk in walks if walk.entries]
    walks.sort(key=lambda walk: walk.entries[0][0])
    holds = False not in [a.head == b.start_hash for a, b in zip(walks, walks[1:])]
    return [entry for walk in walks for entry in walk.entries], holds


def test_entries_are_found_again():
    log, store = AuditLog(), RemoteStore()
    for i in range(5):
        append_entry(log, store, "command %d" % i)
    again = recover(store.read)
    eq((again.number, again.head, again.last), (5, log.head, log.last))
    eq(again.last, [5, 1_800_000_000, [1, 2], "command 4", 7, "done"])
    append_entry(again, store, "more")
    found, holds = entries(store)
    eq(([e[3] for e in found][-2:], holds), (["command 4", "more"], True))


def test_the_ring_is_bounded_and_keeps_its_chain():
    log, store = AuditLog(), RemoteStore()
    for _ in range(900):
        append_entry(log, store, "x" * 30)
    assert len(store.records) == SEGMENTS
    assert max([len(data) for data in store.records.values()]) <= SEGMENT_BYTES
    found, holds = entries(store)
    assert holds
    eq([e[0] for e in found], list(range(found[0][0], 901)))
    assert len(found) > 300, len(found)
    eq(recover(store.read).head, log.head)


def test_truncated_entry_is_skipped_and_starts_a_new_segment():
    whole = RemoteStore()
    log = AuditLog()
    append_entry(log, whole, "first")
    before = len(whole.records[key_of(0)])
    append_entry(log, whole, "second")
    data = whole.records[key_of(0)]
    for cut in range(before, len(data)):
        store = RemoteStore()
        store.records[key_of(0)] = data[:cut]
        again = recover(store.read)
        eq(again.number, 1)
        append_entry(again, store, "later")
        found, holds = entries(store)
        eq(([e[3] for e in found], holds), (["first", "later"], True))
        eq(len(store.records), 1 if cut == before else 2)


def test_changed_or_removed_entry_breaks_the_chain():
    log, store = AuditLog(), RemoteStore()
    for i in range(4):
        append_entry(log, store, "command %d" % i)
    data = store.records[key_of(0)]
    for at in range(len(data)):
        bad = bytearray(data)
        bad[at] ^= 1
        assert AuditReader(bytes(bad)).head != log.head, at
    assert AuditReader(data[:-1]).head != log.head


def test_failed_store_leaves_no_gap():
    log, store = AuditLog(), RemoteStore()
    append_entry(log, store, "first")
    op, key, payload = log.prepare(0, [], "second", 0, "")
    store.write(op, key.encode() + b"\0" + payload[:-3])
    log.abort()
    append_entry(log, store, "second")
    append_entry(log, store, "third")
    found, holds = entries(store)
    eq(([e[3] for e in found], holds), (["first", "second", "third"], True))


def test_texts_are_truncated_and_the_longest_entry_fits():
    log, store = AuditLog(), RemoteStore()
    append_entry(log, store, "w" * 1000, "r" * 1000)
    eq([len(log.last[3]), len(log.last[5])], [160, 160])


def audit_texts(rig):
    return [(e[2], e[3], e[4], e[5]) for e in entries(rig.store)[0]]


def test_actions_of_operators_are_logged():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)]))
    rig.run(22)
    rig.send(make_command("confirm"))
    rig.run(1)
    patch = "patch control.supply.setpoint_c=33"
    eq(
        audit_texts(rig),
        [
            ([OPERATOR], patch, COUNTER, "taken"),
            ([OPERATOR], "command confirm", COUNTER, "taken"),
            ([], "confirmed", COUNTER, "version 1"),
            ([OPERATOR], "done confirm", COUNTER, "confirmed"),
        ],
    )
    rig.send(make_patch(rig, [(SETPOINT, 39)], counter_s=1_795_500_100))
    rig.run(1)
    eq(
        audit_texts(rig)[-1],
        (
            [OPERATOR],
            "patch control.supply.setpoint_c=39",
            COUNTER + 100,
            "too_big_step: control.supply.setpoint_c may change by 5 at a time",
        ),
    )
    status = rig.manager.status(rig.now)
    eq(dict(status.pairs)["audit"], [5, entries_head(rig)])


def test_an_entry_says_when_it_was_written():
    rig = start_rig()
    rig.send(make_command("confirm"))
    rig.run(1)
    rig.agent.clock.utc = lambda _: 1_795_500_777_000_001
    rig.agent.clock.state = lambda _: "sync"
    rig.send(make_command("confirm", counter_s=1_795_500_100))
    rig.run(1)
    found, _ = entries(rig.store)
    eq((found[0][1], found[-1][1]), (None, 1_795_500_777))  # None: UTC is not known


def test_a_refused_schedule_has_the_time_of_its_refusal():
    rig, utc_s = start_rig(), 1_795_500_000
    rig.agent.clock.utc = lambda _: (utc_s + passed_s) * 1_000_000
    rig.agent.clock.state = lambda _: "sync"
    passed_s = 0
    change = [(SETPOINT, 34)]
    rig.send(make_patch(rig, change, counter_s=utc_s, not_before_s=utc_s + 3600, hours=2))
    rig.run(1)
    eq(rig.manager.schedule.counter() > 0, True)
    refused, schedule = [], rig.manager.schedule
    rig.manager.reject = lambda *fields: refused.append(fields)
    passed_s = 3 * 3600  # the controller was off
    rig.run(1)
    eq((schedule.counter(), [len(fields) for fields in refused]), (0, [4]))
    rejection, message, signers, now = refused[0]
    eq((rejection.reason, message.counter > 0, signers), ("expired", True, [OPERATOR]))
    assert rig.now - 1_100_000 <= now <= rig.now, (now, rig.now)


def entries_head(rig):
    return AuditReader(rig.store.records[key_of(0)]).head.hex()


def test_roll_back_and_start_on_trial_are_logged():
    rig = start_rig()
    rig.send(make_patch(rig, [(SETPOINT, 33)], confirm_s=60))
    rig.run(1)
    again = RemoteRig(store=rig.store)
    again.run(70)
    eq(again.restarts, 1)
    eq(
        [(what, result) for _, what, _, result in audit_texts(again)[1:]],
        [("start", "on trial %d" % COUNTER), ("rolled back", "not_confirmed")],
    )


def test_texts_of_a_change_are_not_logged():
    rig = start_rig()
    rig.send(
        make_patch(
            rig, [("broker.password", "hush"), ("broker.username", "u")], (OPERATOR, LIMITER)
        )
    )
    rig.run(1)
    entry = audit_texts(rig)[0]
    eq(entry[1], "patch broker.password broker.username")
    assert "hush" not in repr(audit_texts(rig))
    assert b"hush" not in b"".join([rig.store.records[key_of(0)]])


def test_flood_of_rejections_is_one_entry():
    rig = start_rig()
    for i in range(40):
        rig.manager.message(bytes((i,)), rig.now)
        rig.run(0.3)
    rig.run(1)
    eq(
        [(what, result.split(":")[0]) for _, what, _, result in audit_texts(rig)],
        [("refused", "malformed")],
    )
    assert rig.manager.rejections.count == 40


def test_the_longest_entry_leaves_room_in_a_segment():
    eq(audit.SEGMENT_BYTES > 32 + 2 + 400, True)
