# SPDX-License-Identifier: Apache-2.0
"""Parameters that messages change: their numbers, and who can change them.

Does not hold the table; see `agent.core.tunable`. Does not check steps; see
`agent.remote.message.steps`. Does not check the range of a value; see
`agent.config.load`, which checks the whole changed configuration like a file.
"""

from agent.core.tunable import LIMITS, TUNABLES
from protocols.cbor import Decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.tunable import Tunable

MILLI_TO_NANO = 1_000_000
_TUNING = ("gain", "integral_s", "rate_pct_per_s")


def find_tunable(key: "Any") -> "Tunable | None":
    """Return the record of `key` (a number or a path). None: `key` is not in the table."""
    for tunable in TUNABLES:
        if key in (tunable.number, tunable.path):
            return tunable
    return None


def path_of(key: "Any") -> "str | None":
    """Return the path that `key` (a number or a path) names. None: the number is unknown."""
    if isinstance(key, str):
        return key
    tunable = find_tunable(key)
    return tunable.path if tunable else None


def number_of(path: str) -> "int | None":
    """Return the number of `path`. None: it has no number."""
    tunable = find_tunable(path)
    return tunable.number if tunable else None


def role_of(key: "Any") -> int:
    """Return the role that can change `key`. A key without a number needs `LIMITS`."""
    tunable = find_tunable(key)
    return tunable.role if tunable else LIMITS


def is_live(key: "Any") -> bool:
    """Return whether the running agent applies a change of `key` without a restart."""
    tunable = find_tunable(key)
    return tunable is not None and tunable.live


def is_tuning(key: "Any") -> bool:
    """Return whether `key` is a gain, an integral time or a rate of a loop."""
    tunable = find_tunable(key)
    return tunable is not None and tunable.attribute in _TUNING


def to_nano(value: "int | Decimal") -> int:
    """Return a number in 1e-9, for exact comparison."""
    if isinstance(value, Decimal):
        return value.mantissa * int(10 ** (9 - value.places))
    return value * 10**9
