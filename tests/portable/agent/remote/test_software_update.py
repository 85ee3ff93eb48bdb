# SPDX-License-Identifier: Apache-2.0
"""Application updates: fetched in chunks over windows, on trial, confirmed or rolled back."""

from agent.remote.message import manifest
from agent.remote.message.chunk import CHUNK_HASH_BYTES
from agent.remote.storage import software_slots
from protocols.signed_message import MANIFEST, MAX_BYTES
from protocols.time_units import MILLISECOND
from tests.portable.support.agent_rig import RigLcg
from tests.portable.support.check import eq
from tests.portable.support.remote_rig import (
    COUNTER,
    HOUR,
    LIMITER,
    OPERATOR,
    SETPOINT,
    START_S,
    STORE,
    RemoteRig,
    make_command,
    make_patch,
    reject_reason,
    sign_message,
    start_rig,
)

CHUNK = 1000
BUNDLE = RigLcg(3).bytes(2 * CHUNK + 100)


def make_manifest(number=2, signers=(OPERATOR, LIMITER), at=START_S, bundle=BUNDLE, confirm_s=600):
    body = manifest.encode_manifest(at, at + HOUR, number, bundle, CHUNK, confirm_s)
    return sign_message(MANIFEST, body, signers)


def make_chunk(index, at=START_S, data=None):
    data = BUNDLE[index * CHUNK : (index + 1) * CHUNK] if data is None else data
    return (COUNTER + at - START_S).to_bytes(4, "big") + index.to_bytes(2, "big") + data


def deliver_chunks(rig, *pieces):
    for data in pieces:
        rig.manager.on_chunk(data, rig.now)
        rig.process_outbox()
        rig.run(0.1)


def make_fetched_rig(rig=None):
    """Return a unit that has fetched the bundle and requests a restart."""
    rig = rig or start_rig()
    rig.send(make_manifest())
    rig.run(1)
    deliver_chunks(rig, make_chunk(0), make_chunk(1), make_chunk(2))
    eq(rig.restarts, 1)
    return rig


def start(store):
    """Start like a launcher; return the unit and its release."""
    chosen, writes = software_slots.choose_release(store.read)
    for key, data in writes:
        store.write("write", key.encode() + b"\0" + data)
    return RemoteRig(store=store), chosen


def test_update_is_fetched_run_on_trial_and_confirmed():
    store = make_fetched_rig().store
    rig, chosen = start(store)
    eq((chosen.release, software_slots.read_bundle(chosen, store.read)), (2, BUNDLE))
    rig.run(5)
    eq(reject_reason(rig, make_command("confirm")), "not_yet")
    eq(reject_reason(rig, make_patch(rig, [(SETPOINT, 33)])), "busy")
    rig.run(35)
    eq(rig.manager.update.status()[:5], [0, COUNTER, 3, 0, "confirm"])
    rig.send(make_command("confirm", counter_s=START_S + 1))
    rig.run(1)
    eq(rig.manager.update.status()[:8], [2, 0, 3, 0, "", COUNTER, "confirmed", ""])
    again, chosen = start(store)
    eq((chosen.release, again.manager.update.releases.highest), (2, 2))
    again.run(2)
    at = START_S + 10
    eq(reject_reason(again, make_manifest(2, at=at)), "rollback")
    eq(reject_reason(again, make_manifest(1, at=at + 1)), "rollback")


class SlowStoreRig(RemoteRig):
    """A unit that notes the order of its writes and of the reports that tell a confirmation."""

    def __init__(self, **options):
        self.order = []
        RemoteRig.__init__(self, **options)

    def perform(self, port, op, data):
        if (port, op) == (STORE, "write"):
            self.order.append("write")
        elif data.find(b"cfg/reported") >= 0 and data.find(b'"confirmed"') >= 0:
            self.order.append("report")
        RemoteRig.perform(self, port, op, data)


def test_a_report_tells_only_what_is_durable():
    """A power cut after the report must not undo what it tells."""
    store = make_fetched_rig().store
    start(store)
    rig = SlowStoreRig(store=store)
    rig.run(40)
    rig.delay_us = 700 * MILLISECOND
    del rig.order[:]
    rig.send(make_command("confirm", counter_s=START_S + 1))
    rig.run(8)
    eq(rig.order, ["write", "write", "write", "write", "report"])


def test_fetch_continues_across_windows_and_starts():
    rig = start_rig()
    rig.send(make_manifest())
    rig.run(1)
    deliver_chunks(rig, make_chunk(1), make_chunk(0), make_chunk(0), make_chunk(2))
    eq((rig.manager.update.received_chunks, rig.manager.update.discarded_chunks), (1, 3))
    again = RemoteRig(store=rig.store)
    again.run(2)
    eq(again.manager.update.status()[2:5], [1, 3, "fetching"])
    deliver_chunks(again, make_chunk(1), make_chunk(2))
    eq(again.restarts, 1)


def test_chunk_with_wrong_hash_is_discarded():
    rig = start_rig()
    rig.send(make_manifest())
    rig.run(1)
    bad = bytearray(make_chunk(0))
    bad[900] ^= 1
    deliver_chunks(
        rig,
        bytes(bad),
        make_chunk(0, START_S + 1),
        make_chunk(0)[:-1],
        b"",
        b"\0" * 6,
        make_chunk(0) + b"x",
    )
    eq((rig.manager.update.received_chunks, rig.manager.update.discarded_chunks), (0, 6))
    assert [key for key in rig.store.records if key.startswith("update.a")] == []
    deliver_chunks(rig, make_chunk(0))
    eq(rig.manager.update.received_chunks, 1)


def test_chunks_without_a_manifest_are_discarded():
    rig = start_rig()
    deliver_chunks(rig, make_chunk(0))
    eq((rig.manager.update, sorted(rig.store.records)), (None, []))


def test_a_manifest_needs_both_roles_and_a_plausible_form():
    rig = start_rig()
    eq(reject_reason(rig, make_manifest(signers=(OPERATOR,))), "wrong_role")
    eq(reject_reason(rig, make_manifest(signers=(OPERATOR, OPERATOR))), "wrong_role")
    eq(reject_reason(rig, sign_message(MANIFEST, b"\x80", (OPERATOR, LIMITER))), "malformed")
    eq(rig.manager.update, None)


def test_the_largest_bundle_fits_a_message():
    one = manifest.encode_manifest(START_S, START_S + HOUR, 9, bytes(CHUNK), CHUNK, 86_400)
    more = (manifest.MAX_CHUNKS - 1) * CHUNK_HASH_BYTES
    assert len(one) + more + 8 + 2 * 65 + 12 <= MAX_BYTES, len(one)


def test_harmful_update_is_rolled_back():
    rig, _ = start(make_fetched_rig().store)
    rig.run(35)
    rig.set(1, 4, 1)  # a leak is reported
    rig.run(20)
    eq(rig.restarts, 0)  # after the health window the operators decide
    rig, _ = start(make_fetched_rig().store)
    rig.set(1, 4, 1)
    rig.run(40)
    eq(rig.restarts, 1)
    eq(rig.manager.update.status()[5:8], [COUNTER, "rolled_back", "unwell device_alarm:cdu.Leak"])
    eq(start(rig.store)[1], None)


def test_unconfirmed_update_is_rolled_back_across_starts():
    rig = start_rig()
    rig.send(make_manifest(confirm_s=120))
    rig.run(1)
    deliver_chunks(rig, make_chunk(0), make_chunk(1), make_chunk(2))
    rig, _ = start(rig.store)
    rig.run(80)
    rig, chosen = start(rig.store)
    eq(chosen.release, 2)
    rig.run(100)
    eq((rig.restarts, rig.manager.update.releases.last[2]), (1, "not_confirmed"))


def test_crashing_update_is_rolled_back_after_its_starts():
    store = make_fetched_rig().store
    seen = []
    for _ in range(5):
        chosen, writes = software_slots.choose_release(store.read)
        for key, data in writes:
            store.write("write", key.encode() + b"\0" + data)
        seen.append(None if chosen is None else chosen.release)
    eq(seen, [2, 2, 2, None, None])
    rig = RemoteRig(store=store)
    eq(rig.manager.update.releases.last, (COUNTER, "rolled_back", "crashed"))


def test_next_update_uses_the_other_slot():
    rig, _ = start(make_fetched_rig().store)
    rig.run(40)
    rig.send(make_command("confirm"))
    rig.run(1)
    at = START_S + 100
    rig.send(make_manifest(3, at=at))
    rig.run(1)
    deliver_chunks(rig, make_chunk(0, at), make_chunk(1, at), make_chunk(2, at))
    eq(rig.restarts, 1)
    eq(
        sorted(
            {
                key.rsplit(".", 1)[0]
                for key in rig.store.records
                if key[:8] == "update.a" or key[:8] == "update.b"
            }
        ),
        ["update.a", "update.b"],
    )
    chosen, writes = software_slots.choose_release(rig.store.read)
    eq((chosen.slot, chosen.release), (1, 3))
    for _ in range(3):
        chosen, writes = software_slots.choose_release(rig.store.read)
        for key, data in writes:
            rig.store.write("write", key.encode() + b"\0" + data)
    eq((software_slots.choose_release(rig.store.read)[0].release), 2)


def test_power_cut_at_every_record_leaves_old_or_new():
    whole = make_fetched_rig()
    seen = []
    for cut in range(0, whole.store.writes + 1, 2):
        rig = RemoteRig()
        rig.store.cut_at_write = cut
        rig.run(2)
        rig.send(make_manifest())
        rig.run(1)
        deliver_chunks(rig, make_chunk(0), make_chunk(1), make_chunk(2))
        rig.store.cut_at_write = None
        chosen, _ = software_slots.choose_release(rig.store.read)
        if chosen is not None:
            eq(software_slots.read_bundle(chosen, rig.store.read), BUNDLE)
        found = None if chosen is None else chosen.release
        if found not in seen:
            seen.append(found)
    eq(seen, [None, 2])


def test_chunk_of_a_replaced_update_does_not_count_for_the_next_one():
    """A second update is taken while a chunk of the first one is being stored."""
    rig = start_rig()
    rig.send(make_manifest())
    rig.run(1)
    rig.manager.on_chunk(make_chunk(0), rig.now)
    rig.process_outbox()
    other = RigLcg(4).bytes(2 * CHUNK + 50)
    at = START_S + 5
    body = manifest.encode_manifest(at, at + HOUR, 3, other, CHUNK, 600)
    rig.manager.update.start_fetch(manifest.decode_manifest(body), rig.now)
    rig.process_outbox()
    rig.run(1)
    eq(rig.manager.update.status()[2:5], [0, 3, "fetching"])
    parts = [other[i * CHUNK : (i + 1) * CHUNK] for i in range(3)]
    deliver_chunks(rig, *[make_chunk(i, at, parts[i]) for i in range(3)])
    eq(rig.restarts, 1)
    chosen = start(rig.store)[1]
    eq(software_slots.read_bundle(chosen, rig.store.read), other)
