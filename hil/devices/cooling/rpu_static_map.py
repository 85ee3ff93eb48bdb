# SPDX-License-Identifier: Apache-2.0
"""The static part of the RPU's register map: names, boards, fans, heat exchanger.

Does not model these parts: names are invented, and the values are plausible constants. So every
entry of the public map can be read and decoded. Scales follow the map where it states them
(temperatures and humidities in 1, voltages, currents and pressures in 0.1).
"""

from __future__ import annotations

from hil.devices.modbus.register_codec import encode_text

NAMES = (
    (6596, 8, "19-100001"),
    (6604, 8, "ORV3 RPU emulated"),
    (6612, 4, "20260101"),
    (6616, 8, "EMU0000000012"),
    (6624, 4, "WO000001"),
    (6628, 4, "EVT"),
    (6632, 4, "PLC 1.00"),
    (6642, 4, "HMI 1.00"),
    (6646, 2, "H1.0"),
    (6648, 4, "NAC0"),
    (6652, 4, "19-10002"),
    (6656, 4, "19-10003"),
    (6660, 4, "19-10004"),
    (6664, 4, "19-10005"),
)
"""(first register, registers, text)."""

VALUES = (
    (6636, 1, 0),
    (6637, 1, 4242),  # hours since start
    (40960, 6, 31),  # boards, degC
    (40966, 5, 38),
    (40971, 5, 480),  # 48 V rails
    (40976, 5, 21),
    (40981, 5, 1008),
    (40986, 6, 5200),  # the pumps' own fans, 1/min
    (40992, 2, 1500),
    (40994, 2, 1),
    (40996, 5, 41),  # humidity, %
    (41001, 4, 33),
    (41005, 1, 850),
    (41216, 14, 29),  # heat exchanger: air, degC
    (41230, 14, 36),
    (41244, 14, 480),
    (41258, 14, 9),
    (41272, 14, 432),
    (41286, 4, 4100),
    (41290, 2, 1400),
    (41292, 14, 40),
    (41306, 1, 120),
    (41307, 1, 50),
    (41308, 1, 33),
    (41309, 1, 12),
    (41310, 1, 50),
    (42112, 1, 1),
)
"""(first register, registers, value of each)."""


def static_registers() -> dict[int, int]:
    """Return all static registers by address."""
    registers: dict[int, int] = {}
    for first, size, name in NAMES:
        registers.update(enumerate(encode_text(name, size), first))
    for first, size, value in VALUES:
        registers.update(dict.fromkeys(range(first, first + size), value))
    return registers
