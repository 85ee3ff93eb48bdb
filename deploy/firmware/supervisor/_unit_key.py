# SPDX-License-Identifier: Apache-2.0
"""Key of a unit, made on the unit: the private part never leaves it.

Frozen into the firmware, for the recovery mode, which has no application. Does not sign; the agent
does. The record is that of agent/remote/storage/unit_key.py: a hash, the seed, the public key.

The public key is [s]B on the curve of Ed25519 (RFC 8032, 5.1.5). Doublings and sums in extended
coordinates: Hisil et al., "Twisted Edwards curves revisited" (2008), 3.1 and 3.3.
"""

import os

try:
    from _sha512 import sha512  # type: ignore[import-not-found]

    import _files  # type: ignore[import-not-found]
    import _slots  # type: ignore[import-not-found]
except ImportError:  # in the tests
    from deploy.firmware.supervisor import _files, _slots
    from protocols.signing.sha512 import sha512

TYPE_CHECKING = False
if TYPE_CHECKING:
    Point = tuple[int, int, int, int]

PATH = _slots.FOLDER + "/unit.key"
_SEED = 32
_P = (1 << 255) - 19
_D2 = 2 * 0x52036CEE2B6FFE738CC740797779E89800700A4D4141D8AB75EB4DCA135978A3 % _P
_X = 0x216936D3CD6E53FEC0A4E231FDD6DC5C692CC7609525A7B2C9562D608F25D51A
_Y = 0x6666666666666666666666666666666666666666666666666666666666666658
_BASE = (_X, _Y, 1, _X * _Y % _P)


def make() -> "bytes | None":
    """Return the public key; make the key if the unit has none. None: it cannot be stored."""
    body = _files.unseal(_files.read(PATH))
    if body is not None and len(body) == 2 * _SEED:
        return bytes(body[_SEED:])
    seed = os.urandom(_SEED)
    public = public_key(seed)
    return public if _files.replace(PATH, _files.seal(seed + public)) else None


def public_key(seed: bytes) -> bytes:
    """Return the public key of a seed."""
    number = int.from_bytes(sha512(seed)[:32], "little")
    number = number & ((1 << 254) - 8) | 1 << 254
    total, point = (0, 1, 1, 0), _BASE
    while number:
        if number & 1:
            total = _add(total, point)
        point = _add(point, point)
        number >>= 1
    inverse = pow(total[2], _P - 2, _P)
    x, y = total[0] * inverse % _P, total[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _add(a: "Point", b: "Point") -> "Point":
    m = (a[1] - a[0]) * (b[1] - b[0]) % _P
    n = (a[1] + a[0]) * (b[1] + b[0]) % _P
    o = a[3] * b[3] % _P * _D2 % _P
    q = 2 * a[2] * b[2] % _P
    e, f, g, h = n - m, q - o, q + o, n + m
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P
