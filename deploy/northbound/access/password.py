# SPDX-License-Identifier: Apache-2.0
"""Passwords: rules, hashes by scrypt (RFC 7914), comparison in constant time.

Does not keep accounts; see `deploy.northbound.access.accounts`. One hash needs 16 MiB and about
50 ms, so a caller limits the attempts before it calls `verify`.
"""

import contextlib
import ctypes
import hashlib
import hmac
import re
import secrets
from functools import cache
from itertools import pairwise

MIN_LENGTH, MAX_LENGTH = 10, 128
"""Characters of a password."""
_N, _R, _P = 1 << 14, 8, 1
_MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD of mallopt(3)."""
_SALT_BYTES, _KEY_BYTES = 16, 32
_CONTAINED_NAME = 3
"""Characters from which on a user name makes a password that contains it weak."""
_KNOWN = frozenset(
    (
        *("password", "passwort", "passw0rd", "p@ssword", "administrator", "admin", "root"),
        *("welcome", "letmein", "changeme", "qwerty", "qwertyuiop", "qwertzuiop", "iloveyou"),
        "coldloop",
    )
)
"""Words that are no password, also with digits and signs before or after them."""
_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without characters that look alike."""


def make_hash(password: str) -> str:
    """Return `scrypt$N$r$p$SALT$KEY` of a password, hexadecimal."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"scrypt${_N}${_R}${_P}${salt.hex()}${_scrypt(password, salt, _N, _R, _P).hex()}"


def verify(password: str, text: str) -> bool:
    """Return whether a password has this hash. An invalid hash has no password."""
    try:
        kind, n, r, p, salt, key = text.split("$")
        wanted = bytes.fromhex(key)
        found = _scrypt(password, bytes.fromhex(salt), int(n), int(r), int(p))
    except (ValueError, MemoryError):
        return False
    return kind == "scrypt" and hmac.compare_digest(found, wanted)


@cache
def _return_freed_memory() -> None:
    """Make glibc return large freed blocks to the system; without glibc nothing happens.

    One hash needs 16 MiB for 50 ms. By default glibc keeps such a block for each thread: the web
    process grew from 40 to 96 MiB.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 1 << 17)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    _return_freed_memory()
    data = password[: MAX_LENGTH + 1].encode("utf-8", "surrogatepass")
    return hashlib.scrypt(data, salt=salt, n=n, r=r, p=p, maxmem=1 << 26, dklen=_KEY_BYTES)


def weakness(password: str, user: str) -> str:
    """Return why a password is not accepted; empty: it is accepted."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        return f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters"
    if not password.isprintable():
        return "a password has printable characters only"
    low = password.casefold()
    if len(user) >= _CONTAINED_NAME and user.casefold() in low:
        return "a password does not contain the user name"
    if len(set(password)) < 5:
        return "a password has at least 5 different characters"
    if password.isdecimal() or _neighbours(low) * 2 > len(low):
        return "a password is no number and no row of neighbours such as 1234 or abcd"
    if re.sub(r"^[\W\d_]+|[\W\d_]+$", "", low) in _KNOWN:
        return "this password is too well known"
    return ""


def _neighbours(text: str) -> int:
    """Return how many characters are equal or next to the one before."""
    return sum(abs(ord(a) - ord(b)) <= 1 for a, b in pairwise(text))


def random_password() -> str:
    """Return a password of 16 characters, 92 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(16))
