# SPDX-License-Identifier: Apache-2.0
"""Life of the flash of a board with a telemetry log, and the defaults of its section `log`.

Does not count erases; tests/portable/deploy/test_flash_life.py counts them on a real LittleFS, and
compares. The defaults are in the description of the board: a server has room for 4 MiB and a block
each minute, the flash of an RP2040 has not.

    erases a day = 86,400 s / `at_risk_s` * `_ERASES_A_WRITE`
    free blocks  = all, without the superblock and a full log: its old blocks do not move
    worst block  = erases a day / free blocks * `_UNEVEN`

The records of `retain` and `remote` are written at events. They are not in this budget.
"""

from typing import Any

from deploy.firmware.board_files import log_defaults
from deploy.firmware.rp2.build import Rp2Board

ENDURANCE = 100_000
"""Erases of a block that the chip survives at least (W25Q16JV, data sheet, 1)."""
BLOCK = 4096
_SUPERBLOCKS = 2
_ERASES_A_WRITE, _UNEVEN = 1.3, 1.5
"""The largest of the counted runs: erases of a write, and the worst block against the mean."""
_DAY_S, _DAYS_A_YEAR = 86_400, 365.25


def log_life_years(board: Rp2Board, section: dict[str, Any]) -> float:
    """Return the years until the most worn block has its endurance; `section`: `log`."""
    settings: dict[str, int] = {**log_defaults(board.name), **section}
    blocks = board.files_kib * 1024 // BLOCK - _SUPERBLOCKS
    free = max(1, blocks - settings["bytes"] // BLOCK)
    erases = _DAY_S / settings["at_risk_s"] * _ERASES_A_WRITE / free * _UNEVEN
    return ENDURANCE / erases / _DAYS_A_YEAR
