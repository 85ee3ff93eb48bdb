# SPDX-License-Identifier: Apache-2.0
"""Ed25519 and SHA-512: test vectors of the RFC, and signatures that a lax verifier accepts."""

from protocols.signing import ed25519
from protocols.signing import sha512 as sha512_module
from protocols.signing.ed25519 import Verification, verify
from protocols.signing.ed25519_sign import Signature, public_key, sign
from protocols.signing.sha512 import Sha512, sha512
from tests.portable.support.check import eq

ORDER = (1 << 252) + 27742317777372353535851937790883648493

# RFC 8032, 7.1: public key, message, signature.
VECTORS = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
)


SEEDS = (
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
)
"""Secret keys of the vectors."""


def test_signatures_are_those_of_the_rfc():
    for i in range(len(VECTORS)):
        public, message, signature = load_vector(i)
        eq(sign(bytes.fromhex(SEEDS[i]), public, message), signature)
        assert sign(bytes.fromhex(SEEDS[i]), public, message + b"x") != signature
        eq(public_key(bytes.fromhex(SEEDS[i])), public)


def load_vector(index):
    return tuple([bytes.fromhex(text) for text in VECTORS[index]])


def test_sha512_vectors():
    eq(
        sha512(b"abc").hex(),
        (
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        ),
    )
    eq(sha512(b"").hex()[:16], "cf83e1357eefb8bd")
    eq(sha512(bytes(111)).hex()[:16], "77ddd3a542e530fd")
    eq(sha512(bytes(112)).hex()[:16], "2be2e788c8a8adea")


def test_hash_in_slices():
    work = Sha512(bytes(300))
    steps = 1
    while not work.step():
        steps += 1
    eq((steps, work.digest()), (3, sha512(bytes(300))))


def test_rfc_8032_vectors():
    for i in range(len(VECTORS)):
        eq(verify(*load_vector(i)), True)


def test_changed_bit_is_detected():
    key, message, signature = load_vector(2)
    for at in range(0, 64, 3):
        bad = bytearray(signature)
        bad[at] ^= 1 << at % 8
        eq(verify(key, message, bytes(bad)), False)
    for at in range(0, 32, 5):
        bad = bytearray(key)
        bad[at] ^= 1 << at % 8
        eq(verify(bytes(bad), message, signature), False)
    eq(verify(key, message + b"\0", signature), False)


def test_malleable_signature_is_rejected():
    key, message, signature = load_vector(0)
    s = int.from_bytes(signature[32:], "little") + ORDER
    eq(verify(key, message, signature[:32] + s.to_bytes(32, "little")), False)


def test_small_order_keys_are_rejected():
    # With one of these as key and R, S = 0 is a signature of every message with certain hashes.
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    ):
        key = bytes.fromhex(text)
        for number in range(4):
            eq(verify(key, bytes((number,)), key + bytes(32)), False)


def test_non_canonical_points_are_rejected():
    p = (1 << 255) - 19
    for number in (p, p + 1, p | 1 << 255, (p + 1) | 1 << 255, 1 | 1 << 255):
        eq(verify(number.to_bytes(32, "little"), b"", bytes(64)), False)


def test_wrong_lengths_are_rejected():
    key, message, signature = load_vector(0)
    for bad_key, bad_signature in ((key[:31], signature), (key, signature[:63]), (b"", b"")):
        eq(Verification(bad_key, message, bad_signature).valid, False)


def test_verification_in_slices():
    check = Verification(*load_vector(1))
    slices = 0
    while check.valid is None:
        check.step()
        slices += 1
    eq((check.valid, slices > 15), (True, True))


def mod_root(value, power):
    """Return the integer part of the `power`-th root of `value`, by Newton's method."""
    guess = 1 << (len(bin(value)) // power + 1)
    while True:
        less = ((power - 1) * guess + value // guess ** (power - 1)) // power
        if less >= guess:
            return guess
        guess = less


def test_constants_match_standards():
    p = (1 << 255) - 19
    eq(ed25519._D, -121665 * pow(121666, p - 2, p) % p)
    eq(ed25519._SQRT_MINUS_1, pow(2, (p - 1) // 4, p))
    y = 4 * pow(5, p - 2, p) % p
    eq(ed25519.BASE, ed25519._decode(y.to_bytes(32, "little")))
    primes = [n for n in range(2, 410) if not [d for d in range(2, n) if n % d == 0]]
    low = (1 << 64) - 1
    cubes = [(mod_root(n << 192, 3) & low).to_bytes(8, "big") for n in primes[:80]]
    eq(sha512_module._ROUND_CONSTANTS, b"".join(cubes))
    eq(list(sha512_module._INITIAL_STATE), [mod_root(n << 128, 2) & low for n in primes[:8]])


def count_steps(work, is_small):
    """Return the number of steps until a verification or signature is complete."""
    steps = 0
    while not steps or (getattr(work, "valid", None) is None and not getattr(work, "value", b"")):
        work.step(is_small)
        steps += 1
    return steps


def test_small_slices_give_the_same_result():
    public, message, _signature = load_vector(2)
    message, expected = message + bytes(200), b""
    for is_small, verifies, signs in ((False, 22, 22), (True, 500, 400)):
        made = Signature(bytes.fromhex(SEEDS[2]), public, message)
        steps = count_steps(made, is_small)
        assert steps == signs if not is_small else steps > signs, (is_small, steps)
        expected = expected or made.value
        eq(made.value, expected)
        check = Verification(public, message, made.value)
        steps = count_steps(check, is_small)
        eq(check.valid, True)
        assert steps == verifies if not is_small else steps > verifies, (is_small, steps)
    check = Verification(public, message, expected[:63] + bytes((expected[63] ^ 1,)))
    count_steps(check, True)
    eq(check.valid, False)
