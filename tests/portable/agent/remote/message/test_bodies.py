# SPDX-License-Identifier: Apache-2.0
"""Bodies of patches, commands and manifests: fields, units, limits, and the text of a rejection."""

import hashlib

from agent.core.tunable import LIMITS, OPERATE
from agent.remote.message.canonical import has_secret
from agent.remote.message.chunk import CHUNK_HASH_BYTES, chunk_hash
from agent.remote.message.command import decode_command, encode_command
from agent.remote.message.header import EPOCH_S, LONGEST_CONFIRM, check_count
from agent.remote.message.manifest import (
    MAX_CHUNK_BYTES,
    MAX_CHUNKS,
    decode_manifest,
    encode_manifest,
)
from agent.remote.message.patch import (
    MAX_CHANGES,
    apply_changes,
    decode_patch,
    encode_changed,
    encode_patch,
)
from agent.remote.message.reject import Rejection
from protocols.cbor import Decimal, Map, encode
from tests.portable.support.check import eq

COUNT = "a count from 0 to %d is needed"
MAX_COUNT = (1 << 32) - 1
MAX_COUNTER = (1 << 40) - 1
"""256 epochs of 2^32 seconds."""
GROUP = "a group is named by a text"


def refusal(call, *args):
    """Return (reason, detail), or None if there is no rejection."""
    try:
        call(*args)
    except Rejection as rejection:
        return rejection.reason, rejection.detail
    return None


def test_secrets_are_found_at_any_depth():
    for raw, found in (
        ({"a": 1, "b": [{"c": "pin"}]}, False),
        ({"password": ""}, True),
        ({"a": {"token": 1}}, True),
        ([1, [{"a": 0}, {"secret": 0}]], True),
        ({"a": 1, "pin": 2}, True),
        ({}, False),
        ("password", False),
    ):
        eq((raw, has_secret(raw)), (raw, found))


def replaced(parts, changes):
    return [changes.get(i, part) for i, part in enumerate(parts)]


def check_limits(decode, good, cases):
    """Decode `good`, then with one part replaced: (index, value, detail); None: accepted."""
    for index, value, detail in cases:
        parts = replaced(good, {index: value}) + ([value] if index == len(good) else [])
        want = detail and ("malformed", detail)
        eq((index, value, refusal(decode, encode(parts))), (index, value, want))
    eq(refusal(decode, b"\x82\x01"), ("malformed", "cut off: 2 items announced"))


def test_a_count_is_an_integer_within_its_limits():
    for value in (0, 7, MAX_COUNT):
        eq(refusal(check_count, value), None)
    for value in (-1, MAX_COUNT + 1, True, "1", None):
        eq(refusal(check_count, value), ("malformed", COUNT % MAX_COUNT))
    eq(refusal(check_count, 9, 9), None)
    eq(refusal(check_count, 10, 9), ("malformed", COUNT % 9))


COMMAND = [5, 60, "shed", Map([("level", 2)])]


def test_fields_of_a_command():
    got = decode_command(encode(COMMAND + ["gulf"]))
    eq((got.counter, got.expires_s, got.not_before_s), (5, EPOCH_S + 3600, 0))
    eq((got.name, got.arguments.pairs, got.group), ("shed", [("level", 2)], "gulf"))
    eq((got.needs_base, got.required_role(), got.describe()), (False, OPERATE, "command shed"))
    eq(decode_command(encode(COMMAND)).group, "")
    for name, role in (("restart", LIMITS), ("confirm", OPERATE), ("dance", LIMITS)):
        eq(decode_command(encode(replaced(COMMAND, {2: name}))).required_role(), role)


def test_a_command_is_encoded_with_its_expiry_rounded_up():
    for seconds, minutes in ((0, 0), (1, 1), (60, 1), (61, 2)):
        data = encode_command(EPOCH_S + 9, EPOCH_S + seconds, "shed", [("level", 2)])
        eq(data, encode(replaced(COMMAND, {0: 9, 1: minutes})))
    data = encode_command(EPOCH_S + 5, EPOCH_S + 3600, "shed", [("level", 2)], "gulf")
    eq(data, encode(COMMAND + ["gulf"]))


def test_limits_of_a_command():
    parts, named = "a command has 4 or 5 parts", "a command is named by a text"
    arguments = "arguments are a map of at most 16"
    full = Map([(str(i), i) for i in range(16)])
    check_limits(
        decode_command,
        COMMAND,
        (
            (0, -1, COUNT % MAX_COUNTER),
            (1, -1, COUNT % MAX_COUNT),
            (2, "", named),
            (2, "n" * 32, None),
            (2, "n" * 33, named),
            (2, "n", None),
            (2, 1, named),
            (3, [], arguments),
            (3, full, None),
            (3, Map(full.pairs + [("x", 1)]), arguments),
            (4, "", GROUP),
            (4, 1, GROUP),
            (4, "g", None),
        ),
    )
    for data in (1, COMMAND[:3], COMMAND + ["g", "h"], Map([])):
        eq(refusal(decode_command, encode(data)), ("malformed", parts))


BUNDLE = bytes(range(256)) * 5
MANIFEST = [5, 2, 7, 1280, 512, 3, hashlib.sha256(BUNDLE).digest(), bytes(16 * 3)]


def test_fields_of_a_manifest():
    got = decode_manifest(encode(MANIFEST + ["gulf"]))
    eq((got.counter, got.expires_s, got.not_before_s), (5, EPOCH_S + 7200, 0))
    eq((got.release, got.size, got.chunk_size, got.confirm_s), (7, 1280, 512, 180))
    eq((got.hash, got.chunk_hashes, got.group), (MANIFEST[6], bytes(48), "gulf"))
    eq((got.needs_base, got.required_role()), (False, LIMITS))
    eq((decode_manifest(encode(MANIFEST)).group, got.describe()), ("", "update to release 7"))


def test_a_manifest_is_encoded_with_the_hashes_of_its_chunks():
    chunks = b"".join([chunk_hash(BUNDLE[at : at + 512]) for at in (0, 512, 1024)])
    eq(chunks[:16], hashlib.sha256(BUNDLE[:512]).digest()[:16])
    for seconds, hours in ((0, 0), (1, 1), (3600, 1), (3601, 2)):
        data = encode_manifest(EPOCH_S + 5, EPOCH_S + seconds, 7, BUNDLE, 512, 61)
        eq(data, encode(replaced(MANIFEST, {1: hours, 5: 2, 7: chunks})))


def test_limits_of_a_manifest():
    hashes, pieces = "hashes are bytes", "a bundle comes in pieces of 512 bytes or more"
    each = "a bundle needs a hash for each piece"
    largest = MAX_CHUNKS * MAX_CHUNK_BYTES
    check_limits(
        decode_manifest,
        MANIFEST,
        (
            (0, -1, COUNT % MAX_COUNTER),
            (1, -1, COUNT % MAX_COUNT),
            (2, -1, COUNT % MAX_COUNT),
            (3, largest + 1, COUNT % largest),
            (3, 0, pieces),
            (3, 1536, None),
            (3, 1537, each),
            (3, 1025, None),
            (3, 1024, each),
            (4, 511, pieces),
            (4, MAX_CHUNK_BYTES + 1, COUNT % MAX_CHUNK_BYTES),
            (4, MAX_CHUNK_BYTES, each),
            (5, LONGEST_CONFIRM, None),
            (5, LONGEST_CONFIRM + 1, COUNT % LONGEST_CONFIRM),
            (6, bytes(31), hashes),
            (6, "h" * 32, hashes),
            (7, "h" * 48, hashes),
            (7, bytes(47), each),
            (8, "", GROUP),
            (8, 1, GROUP),
            (8, "g", None),
        ),
    )
    for data in (1, MANIFEST[:7], MANIFEST + ["g", "h"], Map([])):
        got = refusal(decode_manifest, encode(data))
        eq(got, ("malformed", "a manifest has 8 or 9 parts"))
    most = replaced(MANIFEST, {3: largest, 4: MAX_CHUNK_BYTES, 7: bytes(CHUNK_HASH_BYTES * 220)})
    eq(refusal(decode_manifest, encode(most)), None)


PATCH = [5, 3, 2, None, 4, Map([(1, 33)])]


def test_fields_of_a_patch():
    got = decode_patch(encode(replaced(PATCH, {3: 10}) + ["gulf"]))
    eq((got.counter, got.base_version, got.expires_s), (5, 3, EPOCH_S + 7200))
    eq((got.not_before_s, got.confirm_s), (EPOCH_S + 600, 240))
    eq((got.changes, got.group, got.needs_base), ([(1, 33)], "gulf", True))
    got = decode_patch(encode(PATCH))
    eq((got.not_before_s, got.group), (0, ""))


def patch(*changes):
    return decode_patch(encode(replaced(PATCH, {5: Map(list(changes))})))


def test_role_and_live_changes_of_a_patch():
    eq((patch((1, 33)).required_role(), patch((1, 33)).applies_live()), (OPERATE, True))
    eq((patch((16, 5)).required_role(), patch((16, 5)).applies_live()), (LIMITS, False))
    eq(patch((1, 33), (11, 60)).required_role(), LIMITS)
    eq(patch((1, None)).applies_live(), False)
    eq((patch(("site", "x")).required_role(), patch(("site", "x")).applies_live()), (LIMITS, False))


def test_a_patch_is_described_without_its_texts():
    got = patch((1, 33), (2, Decimal(1005, 1)), (99, True), ("broker.password", "p"))
    want = "patch control.supply.setpoint_c=33 control.dp.setpoint_kpa=100.5 99 broker.password"
    eq(got.describe(), want)


def test_a_patch_is_encoded_with_its_times_rounded_up():
    for seconds, hours, minutes in ((1, 1, 1), (3600, 1, 60), (3601, 2, 61)):
        at = EPOCH_S + seconds
        data = encode_patch(EPOCH_S + 5, 3, at, seconds, [(1, 33)], at)
        eq(data, encode(replaced(PATCH, {2: hours, 3: minutes, 4: minutes})))
    data = encode_patch(EPOCH_S + 5, 3, EPOCH_S + 7200, 240, [(1, 33.5)], group="gulf")
    eq(data, encode(replaced(PATCH, {5: Map([(1, Decimal(335, 1))])}) + ["gulf"]))


def test_limits_of_a_patch():
    parts, count = "a patch has 6 or 7 parts", "a patch changes 1 to 64 parameters"
    named = "a parameter is named by its number or its path"
    full = [(i, i) for i in range(MAX_CHANGES)]
    check_limits(
        decode_patch,
        PATCH,
        (
            (0, -1, COUNT % MAX_COUNTER),
            (1, -1, COUNT % MAX_COUNT),
            (2, -1, COUNT % MAX_COUNT),
            (3, -1, COUNT % MAX_COUNT),
            (3, 0, None),
            (4, LONGEST_CONFIRM, None),
            (4, LONGEST_CONFIRM + 1, COUNT % LONGEST_CONFIRM),
            (5, [], count),
            (5, Map([]), count),
            (5, Map(full), None),
            (5, Map(full + [(99, 1)]), count),
            (5, Map([(b"x", 1)]), named),
            (5, Map([(True, 1)]), named),
            (6, "", GROUP),
            (6, 1, GROUP),
            (6, "g", None),
        ),
    )
    for data in (1, PATCH[:5], PATCH + ["g", "h"], Map([])):
        eq(refusal(decode_patch, encode(data)), ("malformed", parts))


RAW = {
    "control": {"supply": {"setpoint_c": 32, "valve": "v"}, "dp": {}},
    "a": {"b": {"c": {"d": {"e": {"f": 1, "g": {}}}}}},
    "list": [1],
}


def test_changes_are_applied_to_a_copy():
    got = apply_changes(RAW, [(1, 33), ("new.key", Decimal(15, 1)), ("a.b.c.d.e.f", 2)])
    eq(got["control"], {"supply": {"setpoint_c": 33, "valve": "v"}, "dp": {}})
    eq((got["new"], got["a"]["b"]["c"]["d"]["e"]), ({"key": 1.5}, {"f": 2, "g": {}}))
    eq((RAW["control"]["supply"]["setpoint_c"], "new" in RAW), (32, False))
    eq(apply_changes(RAW, [("control.dp", None)])["control"], {"supply": RAW["control"]["supply"]})


def test_a_change_needs_a_known_key_and_a_path():
    for key, value, detail in (
        (99, 1, "no parameter has the number 99"),
        ("a.b.c.d.e.g.h", 1, "a.b.c.d.e.g.h is no path"),
        ("a..b", 1, "a..b is no path"),
        ("", 1, " is no path"),
        ("list.x", 1, "list.x does not exist"),
        ("control.dp.none", None, "control.dp.none is not there"),
    ):
        eq(refusal(apply_changes, RAW, [(key, value)]), ("unknown_key", detail))


def test_changes_are_encoded_or_out_of_range():
    raw = patch((1, 33)).apply_to({"control": {"supply": {"setpoint_c": 32}}})
    eq(raw, {"control": {"supply": {"setpoint_c": 33}}})
    data = encode(Map([("control", Map([("supply", Map([("setpoint_c", 33)]))]))]))
    eq(encode_changed(raw), data)
    deep = 1
    for _ in range(9):
        deep = {"x": deep}
    got = refusal(encode_changed, {"deep": deep})
    eq(got, ("out_of_range", "nested more than 8 deep"))
