# SPDX-License-Identifier: Apache-2.0
"""Energy and water of one interval by role, and the figures that follow from them.

Energy is in mWh, water in mL, figures in 1/1000; all are integers, rounded to the nearest.

    PUE    all energy / IT energy                         ISO/IEC 30134-2 (over 12 months)
    loop   (IT + loop) / IT: partial PUE of the cooling loop
    WUE    water / IT energy, L/kWh                       ISO/IEC 30134-9
    ERF    reused heat / all energy                       ISO/IEC 30134-6
"All energy" is the value of the facility meter. Without a facility meter it is the sum of the
roles, and the report states this. Over less than 12 months the PUE is an interim value. Losses:
electrical (metered, or the energy of the facility meter without the other roles), residual air
(fans and chillers of the room), loop.
"""

ROLES = ("it", "facility", "loop", "air", "electrical", "other", "reuse", "water")
IT, FACILITY, LOOP, AIR, ELECTRICAL, OTHER, REUSE, WATER = range(8)


def scaled_ratio(top: int, bottom: int, scale: int = 1000) -> "int | None":
    """Return scale * top / bottom, rounded; None if `bottom` is not above 0."""
    return None if bottom <= 0 else (2 * scale * top + bottom) // (2 * bottom)


class Account:
    """The account of one interval: `used` by role (mWh, mL) since `start_us` (UTC, 0: unknown).

    `gap_s`, of a whole month: time in which a meter that shows a rate was not read, so its energy
    is not in `used`.
    """

    def __init__(self, start_us: int = 0, used: "list[int] | None" = None) -> None:
        self.start_us = start_us
        self.used = [0] * len(ROLES) if used is None else used
        self.gap_s = 0

    def begin(self, utc: int) -> None:
        """Set the start of the interval, if it is unknown."""
        self.start_us = self.start_us or utc

    def total(self, metered: "list[bool]") -> int:
        """Return all energy, in mWh."""
        used = self.used
        if metered[FACILITY]:
            return used[FACILITY]
        return used[IT] + used[LOOP] + used[AIR] + used[ELECTRICAL] + used[OTHER]

    def electrical(self, metered: "list[bool]") -> int:
        """Return the losses of UPS and distribution in mWh, metered or as the remainder."""
        used = self.used
        if metered[ELECTRICAL] or not metered[FACILITY]:
            return used[ELECTRICAL]
        return max(0, used[FACILITY] - used[IT] - used[LOOP] - used[AIR] - used[OTHER])

    def figures(self, metered: "list[bool]") -> "list[tuple[str, int | None]]":
        """Return (name, figure in 1/1000) pairs; losses are relative to the IT energy."""
        used = self.used
        it, total = used[IT], self.total(metered)
        return [
            ("pue", scaled_ratio(total, it)),
            ("loop_pue", scaled_ratio(it + used[LOOP], it)),
            ("wue", scaled_ratio(used[WATER], it, 1_000_000) if metered[WATER] else None),
            ("erf", scaled_ratio(used[REUSE], total) if metered[REUSE] else None),
            ("electrical", scaled_ratio(self.electrical(metered), it)),
            ("air", scaled_ratio(used[AIR], it)),
            ("loop", scaled_ratio(used[LOOP], it)),
        ]

    def encode(self) -> str:
        """Return the account as one line of numbers; a gap is the last of ten."""
        gap = [self.gap_s] if self.gap_s else []
        return " ".join([str(n) for n in [self.start_us] + self.used + gap])


def decode(line: str) -> "Account | None":
    """Parse a line of `Account.encode`; return None for any other text."""
    words = line.split(" ")
    count = 1 + len(ROLES)
    if not count <= len(words) <= count + 1 or "" in words or "".join(words).strip("0123456789"):
        return None
    numbers = [int(word) for word in words]
    account = Account(numbers[0], numbers[1:count])
    account.gap_s = sum(numbers[count:])
    return account
