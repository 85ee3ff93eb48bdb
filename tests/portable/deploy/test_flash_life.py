# SPDX-License-Identifier: Apache-2.0
"""Life of the flash of an RP2040: erases of a log, counted on a real LittleFS in memory.

Does not run the agent or the chip. CPython has no LittleFS.

    endurance   100,000 erases of a block (W25Q16JV, data sheet, 1)
    budget      10 years at the settings that docs/engineer/firmware.md names for a board
"""

import os

from drivers.ports.address import parse_address
from drivers.ports.micropython import store as board_store
from protocols.telemetry.message import LIVE
from tests.portable.support.flash import GroundModel, LogLcg, LogUnit
from tests.portable.support.power_cut import littlefs_board

LONG = ("test_the_most_worn_block_lasts_ten_years",)
ENDURANCE = 100_000
YEAR_S = 31_557_600
DAY_S = 86_400
AT_RISK_S = 240
BYTES_A_SECOND = 6
"""20 values at 2.1 bits, each second (docs/engineer/telemetry.md), and the head of a block."""
SUPERBLOCKS = 2
"""Blocks of LittleFS that hardly ever change."""
SETTINGS = {"bytes": 65536, "segment_bytes": 4096, "live_ttl_s": 0, "bulk_ttl_s": 0}


class LittlefsStore:
    """The store of the log on LittleFS, as `LogUnit` uses it."""

    def __init__(self):
        self.blocks = littlefs_board.LittlefsBlocks(
            bytearray(b"\xff" * (littlefs_board.BLOCK * littlefs_board.BLOCKS))
        )
        littlefs_board.vfs.VfsLfs2.mkfs(self.blocks, progsize=256)
        littlefs_board.vfs.mount(littlefs_board.vfs.VfsLfs2(self.blocks, progsize=256), "/life")
        os.mkdir("/life/store")
        board_store.sync_folder = lambda _path: None  # LittleFS needs none
        self.store = board_store.Store(parse_address("store:/life/store"))

    def close(self):
        littlefs_board.vfs.umount("/life")

    def fits(self, _op, _payload):
        return True

    def execute(self, op, data):
        key, _, payload = data.partition(b"\0")
        name = key.decode()
        if op == "get":
            found = self.store.read(name)
            return key + (b"" if found is None else b"\0" + found)
        if op == "list":
            return self.store.list_keys()
        if op == "delete":
            self.store.delete(name)
        elif op == "append":
            self.store.append(name, payload)
        else:
            self.store.write(name, payload)
        return b""


def count_erases(days, at_risk_s, has_link):
    """Log for a time; return the erases of each block. `has_link`: receipts come immediately."""
    flash = LittlefsStore()
    unit, random = LogUnit(flash, settings=SETTINGS), LogLcg(7)
    try:
        unit.run_until_idle()
        for _ in range(days * DAY_S // at_risk_s):
            unit.now += at_risk_s * 1_000_000
            unit.append(LIVE, bytes([random.below(256) for _ in range(BYTES_A_SECOND * at_risk_s)]))
            unit.run_until_idle()
            if has_link:
                unit.send(GroundModel())
                unit.run_until_idle()
    finally:
        flash.close()
    return flash.blocks.erases


def life_years(days, erases):
    """Return the years until a block with these erases in `days` has its endurance."""
    return ENDURANCE * days * DAY_S / (erases * YEAR_S)


def check_mean(at_risk_s, has_link):
    """Return the years until all blocks together have their endurance."""
    blocks = littlefs_board.BLOCKS - SUPERBLOCKS
    return life_years(1, sum(count_erases(1, at_risk_s, has_link)) / blocks)


def test_the_budget_of_the_flash_is_ten_years():
    if littlefs_board.vfs is None:  # CPython
        return
    assert check_mean(AT_RISK_S, True) >= 20
    # A block of the log each minute, the default of a server, is too much for this flash.
    assert check_mean(60, True) < 10


def test_the_most_worn_block_lasts_ten_years():
    """LittleFS moves a folder after 100 erases, so the wear is even only after weeks."""
    if littlefs_board.vfs is None:  # CPython
        return
    for has_link in (True, False):
        years = life_years(20, max(count_erases(20, AT_RISK_S, has_link)))
        assert years >= 10, (has_link, years)
