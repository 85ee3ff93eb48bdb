"""What was used in an interval, by role, and the figures that are made of it.

Energies in mWh, water in mL, figures in thousandths; whole numbers, rounded to the nearest.

    PUE    all energy / IT energy                         ISO/IEC 30134-2 (over 12 months)
    loop   (IT + loop) / IT: partial PUE of the cooling loop
    WUE    water / IT energy, L/kWh                       ISO/IEC 30134-9
    ERF    reused heat / all energy                       ISO/IEC 30134-6
"All energy" is the facility's meter; without one it is the sum of the roles, and the report says
so. Over less than 12 months PUE is an interim value. Losses: electrical (metered, or what the
facility's meter shows and nobody else), residual air (fans and chillers of the room), loop.
"""

ROLES = ("it", "facility", "loop", "air", "electrical", "other", "reuse", "water")
IT, FACILITY, LOOP, AIR, ELECTRICAL, OTHER, REUSE, WATER = range(8)


def scaled_ratio(top: int, bottom: int, scale: int = 1000) -> "int | None":
    """`scale` times top / bottom, to the nearest; None when there is nothing to divide by."""
    return None if bottom <= 0 else (2 * scale * top + bottom) // (2 * bottom)


class Account:
    """One interval: `used` by role, from `start_us` (UTC) on."""

    def __init__(self, start_us: int = 0, used: "list[int] | None" = None) -> None:
        self.start_us = start_us
        self.used = [0] * len(ROLES) if used is None else used

    def total(self, metered: "list[bool]") -> int:
        """All energy."""
        used = self.used
        if metered[FACILITY]:
            return used[FACILITY]
        return used[IT] + used[LOOP] + used[AIR] + used[ELECTRICAL] + used[OTHER]

    def electrical(self, metered: "list[bool]") -> int:
        """Losses of UPS and distribution, as metered or as what is left over."""
        used = self.used
        if metered[ELECTRICAL] or not metered[FACILITY]:
            return used[ELECTRICAL]
        return max(0, used[FACILITY] - used[IT] - used[LOOP] - used[AIR] - used[OTHER])

    def figures(self, metered: "list[bool]") -> "list[tuple[str, int | None]]":
        """PUE and the others, in thousandths; losses in thousandths of the IT energy."""
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
        """Write it as one line of numbers."""
        return " ".join([str(n) for n in [self.start_us] + self.used])


def decode(line: str) -> "Account | None":
    """Read what `Account.encode` wrote; None for anything else."""
    words = line.split(" ")
    if len(words) != 1 + len(ROLES) or "" in words or "".join(words).strip("0123456789"):
        return None
    numbers = [int(word) for word in words]
    return Account(numbers[0], numbers[1:])
