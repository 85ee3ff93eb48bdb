# SPDX-License-Identifier: Apache-2.0
"""Verification of a message: each check, its limit, and the text under the signatures."""

from agent.remote.message.command import encode_command
from agent.remote.message.header import EPOCH_S, HOUR_S, MINUTE_S
from agent.remote.message.keyring import Keyring
from agent.remote.message.manifest import encode_manifest
from agent.remote.message.patch import encode_patch
from agent.remote.message.reject import Rejection
from agent.remote.message.verifier import MessageVerification, VerifyContext, start_verification
from protocols.cbor import encode
from protocols.signed_message import COMMAND, MANIFEST, MAX_BYTES, PATCH, SignedMessage, pack
from tests.portable.support.check import eq, raises
from tests.portable.support.signer import Signer

FIRST, SECOND = Signer(1), Signer(2)
KEYS = [
    {"number": 1, "public": FIRST.public.hex(), "role": "operate"},
    {"number": 2, "public": SECOND.public.hex(), "role": "limits"},
]
NOW_S = EPOCH_S + 10 * HOUR_S
VERSION, BASE = 5, b"b" * 32
LAST = {PATCH: 100, COMMAND: 200, MANIFEST: 300}


def context():
    return VerifyContext("s1/u1", ["gulf"], VERSION, BASE, [100, 200, 300])


def patch(counter=101, version=VERSION, expires_s=NOW_S + HOUR_S, group=""):
    return encode_patch(EPOCH_S + counter, version, expires_s, 60, [(1, 33)], group=group)


def command(counter=201, expires_s=NOW_S + MINUTE_S, group="", name="confirm"):
    return encode_command(EPOCH_S + counter, expires_s, name, [], group)


def manifest(counter=301, expires_s=NOW_S + HOUR_S):
    return encode_manifest(EPOCH_S + counter, expires_s, 1, b"bundle", 512, 60)


def unsigned(kind, body, numbers=(1,)):
    """Return a message with signatures of zeros: they are not verified before `step`."""
    return pack(SignedMessage(kind, body, [(number, bytes(64)) for number in numbers]))


def refusal(data, utc_s=NOW_S):
    """Return (reason, detail) of the checks before the signatures; None: passed."""
    try:
        MessageVerification(data, Keyring(KEYS), context(), utc_s)
    except Rejection as rejection:
        return rejection.reason, rejection.detail
    return None


def test_a_group_may_have_any_base_and_a_unit_only_its_own():
    eq(refusal(unsigned(PATCH, patch())), None)
    eq(refusal(unsigned(PATCH, patch(group="gulf"))), None)
    eq(refusal(unsigned(PATCH, patch(version=0, group="gulf"))), None)
    eq(refusal(unsigned(PATCH, patch(version=0))), ("wrong_base", "0; here is 5"))
    eq(refusal(unsigned(PATCH, patch(version=4))), ("wrong_base", "4; here is 5"))
    for version in (4, 6):
        eq(refusal(unsigned(PATCH, patch(version=version, group="gulf")))[0], "wrong_base")


def test_another_group_is_a_wrong_target():
    eq(refusal(unsigned(PATCH, patch(group="africa"))), ("wrong_target", "group africa"))


def test_each_kind_has_its_own_counter():
    for kind, make in ((PATCH, patch), (COMMAND, command), (MANIFEST, manifest)):
        signers, last = (1, 2), LAST[kind]
        eq(refusal(unsigned(kind, make(last + 1), signers)), None)
        eq(refusal(unsigned(kind, make(last), signers)), ("replay", ""))
        old = ("rollback", "counter %d after %d" % (last - 1, last))
        eq(refusal(unsigned(kind, make(last - 1), signers)), old)


def test_a_message_is_valid_until_its_expiry():
    for kind, make in ((PATCH, patch), (COMMAND, command), (MANIFEST, manifest)):
        data = unsigned(kind, make(expires_s=NOW_S), (1, 2))
        eq(refusal(data, NOW_S - 1), None)
        eq(refusal(data, NOW_S), ("expired", ""))
        eq(refusal(data, NOW_S + 1), ("expired", ""))


def test_signers_must_be_known_and_have_the_role():
    eq(refusal(unsigned(PATCH, patch(), (9,))), ("unknown_signer", "key 9"))
    eq(refusal(unsigned(PATCH, patch(), (1, 9))), ("unknown_signer", "key 9"))
    eq(refusal(unsigned(MANIFEST, manifest(), (2,))), ("wrong_role", ""))
    eq(refusal(unsigned(MANIFEST, manifest(), (1, 2))), None)


def test_the_format_is_checked_first():
    eq(refusal(bytes(MAX_BYTES + 1)), ("too_large", "4097 bytes"))
    for data in (bytes(MAX_BYTES), b"", unsigned(PATCH, command()), unsigned(COMMAND, b"\xff")):
        reason, detail = refusal(data)
        eq(reason, "malformed")
        assert detail not in ("", "None"), detail
    eq(refusal(unsigned(COMMAND, manifest()))[0], "malformed")
    eq(refusal(unsigned(MANIFEST, patch()))[0], "malformed")


def test_without_utc_time_starts_at_the_epoch():
    data = unsigned(COMMAND, command(expires_s=EPOCH_S))
    for utc_s in (0, EPOCH_S - 1, EPOCH_S):
        eq(raises(Rejection, start_verification, data, KEYS, context(), utc_s).reason, "expired")
    last = unsigned(COMMAND, command(expires_s=EPOCH_S + MINUTE_S))
    eq(start_verification(last, KEYS, context(), 0).message.counter, 201)


def verdict(kind, body, target, base, signers=(FIRST,), numbers=(1,)):
    """Return None, or the reject reason of a message signed over `target` and `base`."""
    text = b"coldloop signed message, 1\n" + encode([kind, target, base, body])
    signatures = [(n, signer.sign(text)) for n, signer in zip(numbers, signers)]
    data = pack(SignedMessage(kind, body, signatures))
    check = MessageVerification(data, Keyring(KEYS), context(), NOW_S)
    eq((check.kind, check.signers), (kind, list(numbers)))
    try:
        steps = 1
        while not check.step():
            steps += 1
    except Rejection as rejection:
        return rejection.reason
    assert steps > 10 * len(signers), steps  # in slices
    eq(check.step(), True)
    return None


def test_a_patch_is_signed_for_its_unit_and_base():
    eq(verdict(PATCH, patch(), "s1/u1", BASE), None)
    eq(verdict(PATCH, patch(), "s1/u1", b""), "bad_signature")
    eq(verdict(PATCH, patch(), "s1/u2", BASE), "bad_signature")


def test_a_group_has_its_own_target_and_no_base():
    eq(verdict(PATCH, patch(group="gulf"), "@gulf", b""), None)
    eq(verdict(COMMAND, command(group="gulf"), "s1/u1", b""), "bad_signature")


def test_a_command_has_no_base_and_each_signature_counts():
    eq(verdict(COMMAND, command(), "s1/u1", b""), None)
    both = (FIRST, SECOND)
    eq(verdict(COMMAND, command(), "s1/u1", b"", both, (1, 2)), None)
    eq(verdict(COMMAND, command(), "s1/u1", b"", (FIRST, FIRST), (1, 2)), "bad_signature")
    eq(verdict(COMMAND, command(), "s1/u1", b"", both, (2, 1)), "bad_signature")
