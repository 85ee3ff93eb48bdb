"""Application updates: fetched in pieces across windows, on trial, kept or given up."""

from agent.remote.message import manifest
from agent.remote.storage import software_slots
from protocols.signed_message import LONGEST, MANIFEST
from tests.portable.support.agent_rig import Lcg
from tests.portable.support.check import eq
from tests.portable.support.remote_rig import (
    COUNTER,
    HOUR,
    LIMITER,
    OPERATOR,
    SETPOINT,
    START_S,
    RemoteRig,
    a_command,
    a_patch,
    refused,
    running,
    signed,
)

HEAP = "640wK"
PIECE = 1000
BUNDLE = Lcg(3).bytes(2 * PIECE + 100)


def a_manifest(number=2, signers=(OPERATOR, LIMITER), at=START_S, bundle=BUNDLE, confirm_s=600):
    body = manifest.write(at, at + HOUR, number, bundle, PIECE, confirm_s)
    return signed(MANIFEST, body, signers)


def piece(index, at=START_S, data=None):
    data = BUNDLE[index * PIECE : (index + 1) * PIECE] if data is None else data
    return (COUNTER + at - START_S).to_bytes(4, "big") + index.to_bytes(2, "big") + data


def give(rig, *pieces):
    for data in pieces:
        rig.desk.piece(data, rig.now)
        rig.carry_out()
        rig.run(0.1)


def fetched(rig=None):
    """A unit that has fetched the bundle, and asks for a restart."""
    rig = rig or running()
    rig.send(a_manifest())
    rig.run(1)
    give(rig, piece(0), piece(1), piece(2))
    eq(rig.restarts, 1)
    return rig


def start(store):
    """What a launcher does, and the unit that it starts; the release that runs."""
    chosen, writes = software_slots.choose(store.read)
    for key, data in writes:
        store.write("write", key.encode() + b"\0" + data)
    return RemoteRig(store=store), chosen


def test_an_update_is_fetched_tried_and_confirmed():
    store = fetched().store
    rig, chosen = start(store)
    eq((chosen.release, software_slots.bundle(chosen, store.read)), (2, BUNDLE))
    rig.run(5)
    eq(refused(rig, a_command("confirm")), "not_yet")
    eq(refused(rig, a_patch(rig, [(SETPOINT, 33)])), "busy")
    rig.run(35)
    eq(rig.desk.update.status()[:5], [0, COUNTER, 3, 0, "confirm"])
    rig.send(a_command("confirm", counter_s=START_S + 1))
    rig.run(1)
    eq(rig.desk.update.status()[:8], [2, 0, 3, 0, "", COUNTER, "confirmed", ""])
    again, chosen = start(store)
    eq((chosen.release, again.desk.update.releases.highest), (2, 2))
    again.run(2)
    at = START_S + 10
    eq(refused(again, a_manifest(2, at=at)), "rollback")
    eq(refused(again, a_manifest(1, at=at + 1)), "rollback")


def test_it_goes_on_where_it_was_across_windows_and_starts():
    rig = running()
    rig.send(a_manifest())
    rig.run(1)
    give(rig, piece(1), piece(0), piece(0), piece(2))
    eq((rig.desk.update.have, rig.desk.update.unkept), (1, 3))
    again = RemoteRig(store=rig.store)
    again.run(2)
    eq(again.desk.update.status()[2:5], [1, 3, "fetching"])
    give(again, piece(1), piece(2))
    eq(again.restarts, 1)


def test_what_has_another_hash_is_not_kept():
    rig = running()
    rig.send(a_manifest())
    rig.run(1)
    bad = bytearray(piece(0))
    bad[900] ^= 1
    give(rig, bytes(bad), piece(0, START_S + 1), piece(0)[:-1], b"", b"\0" * 6, piece(0) + b"x")
    eq((rig.desk.update.have, rig.desk.update.unkept), (0, 6))
    assert [key for key in rig.store.records if key.startswith("update.a")] == []
    give(rig, piece(0))
    eq(rig.desk.update.have, 1)


def test_pieces_without_a_manifest_are_nothing():
    rig = running()
    give(rig, piece(0))
    eq((rig.desk.update, sorted(rig.store.records)), (None, []))


def test_a_manifest_needs_both_roles_and_a_plausible_form():
    rig = running()
    eq(refused(rig, a_manifest(signers=(OPERATOR,))), "wrong_role")
    eq(refused(rig, a_manifest(signers=(OPERATOR, OPERATOR))), "wrong_role")
    eq(refused(rig, signed(MANIFEST, b"\x80", (OPERATOR, LIMITER))), "malformed")
    eq(rig.desk.update, None)


def test_the_largest_bundle_fits_a_message():
    one = manifest.write(START_S, START_S + HOUR, 9, bytes(PIECE), PIECE, 86_400)
    more = (manifest.MOST_PIECES - 1) * manifest.PIECE_HASH
    assert len(one) + more + 8 + 2 * 65 + 12 <= LONGEST, len(one)


def test_an_update_that_does_harm_is_given_up():
    rig, _ = start(fetched().store)
    rig.run(35)
    rig.set(1, 4, 1)  # a leak is reported
    rig.run(20)
    eq(rig.restarts, 0)  # after its health window it is for the operators to say
    rig, _ = start(fetched().store)
    rig.set(1, 4, 1)
    rig.run(40)
    eq(rig.restarts, 1)
    eq(rig.desk.update.status()[5:8], [COUNTER, "rolled_back", "unwell device_alarm:cdu.Leak"])
    eq(start(rig.store)[1], None)


def test_without_a_confirmation_it_is_given_up_also_across_starts():
    rig = running()
    rig.send(a_manifest(confirm_s=120))
    rig.run(1)
    give(rig, piece(0), piece(1), piece(2))
    rig, _ = start(rig.store)
    rig.run(80)
    rig, chosen = start(rig.store)
    eq(chosen.release, 2)
    rig.run(100)
    eq((rig.restarts, rig.desk.update.releases.last[2]), (1, "not_confirmed"))


def test_one_that_does_not_come_up_is_given_up_by_its_starts():
    store = fetched().store
    seen = []
    for _ in range(5):
        chosen, writes = software_slots.choose(store.read)
        for key, data in writes:
            store.write("write", key.encode() + b"\0" + data)
        seen.append(None if chosen is None else chosen.release)
    eq(seen, [2, 2, 2, None, None])
    rig = RemoteRig(store=store)
    eq(rig.desk.update.releases.last, (COUNTER, "rolled_back", "crashed"))


def test_the_next_one_goes_into_the_other_slot():
    rig, _ = start(fetched().store)
    rig.run(40)
    rig.send(a_command("confirm"))
    rig.run(1)
    at = START_S + 100
    rig.send(a_manifest(3, at=at))
    rig.run(1)
    give(rig, piece(0, at), piece(1, at), piece(2, at))
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
    chosen, writes = software_slots.choose(rig.store.read)
    eq((chosen.slot, chosen.release), (1, 3))
    for _ in range(3):
        chosen, writes = software_slots.choose(rig.store.read)
        for key, data in writes:
            rig.store.write("write", key.encode() + b"\0" + data)
    eq((software_slots.choose(rig.store.read)[0].release), 2)


def test_power_cut_at_every_record_leaves_old_or_new():
    whole = fetched()
    seen = []
    for cut in range(0, whole.store.writes + 1, 2):
        rig = RemoteRig()
        rig.store.cut = cut
        rig.run(2)
        rig.send(a_manifest())
        rig.run(1)
        give(rig, piece(0), piece(1), piece(2))
        rig.store.cut = None
        chosen, _ = software_slots.choose(rig.store.read)
        if chosen is not None:
            eq(software_slots.bundle(chosen, rig.store.read), BUNDLE)
        found = None if chosen is None else chosen.release
        if found not in seen:
            seen.append(found)
    eq(seen, [None, 2])
