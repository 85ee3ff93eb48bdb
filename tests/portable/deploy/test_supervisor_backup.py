# SPDX-License-Identifier: Apache-2.0
"""Backup of the configuration: a damaged file system leaves an agent that runs."""

from deploy.firmware.supervisor import _backup, _files, _slots, _supervisor, _unit_file
from tests.portable.support.check import eq
from tests.portable.support.power_cut import littlefs_board
from tests.portable.support.power_cut.flash_model import Disk
from tests.portable.support.power_cut.supervisor_rig import (
    BACKUP,
    CONFIG,
    GOOD,
    MOUNTED_TEXT,
    CrashedAgent,
    SupervisedBoard,
    application,
    content,
    copy_disk,
    flip,
    sealed_disk,
    start,
    write,
)

LONG = (
    "test_no_inverted_bit_of_littlefs_leaves_a_unit_without_an_agent",
    "test_inverted_bits_of_littlefs_leave_an_agent",
)
UNIT, SEAL, COPY = _unit_file.UNIT, _unit_file.SEAL, _unit_file.COPY
NEW = b'{"unit": "a", "supply_c": 33}'


def accept_config(board, path):
    return GOOD if content(board.disk, path) == CONFIG else 2


def without(disk, *paths):
    """Return a copy of a disk without some files."""
    changed = copy_disk(disk)
    for path in paths:
        del changed.names[path]
    return changed


def test_lost_files_come_back_from_the_backup():
    disk = without(sealed_disk(), UNIT, SEAL, COPY)
    board = SupervisedBoard(disk, agent=accept_config)
    start(board)
    eq(board.runs(), [(UNIT, 0)])
    eq((content(disk, UNIT), _files.unseal(content(disk, COPY))), (CONFIG, CONFIG))
    assert content(disk, SEAL) is not None


def test_an_unusable_storage_leaves_the_backup():
    kept = content(sealed_disk(), BACKUP)
    disk = Disk()
    write(disk, BACKUP, kept)
    disk.rename = refuse
    board = SupervisedBoard(disk, agent=accept_config)
    board.has_storage = False
    eq(start(board), _supervisor.RECOVER)
    eq(board.runs(), [(MOUNTED_TEXT, 0)])


def test_without_a_usable_storage_failed_starts_count_until_a_power_cut():
    """A full or damaged file system cannot hold the count; registers of the chip hold it."""
    disk = sealed_disk()
    disk.rename = refuse
    write(disk, _slots.RECORDS[0], _files.seal(bytes(3)))
    slots, seen = [application(2), application(1)], []

    def restart(power_on):
        board = SupervisedBoard(disk, slots, crash, power_on)
        outcome = start(board)
        return board.runs()[0][1] if board.runs() else outcome

    seen = [restart(False) for _ in range(13)]
    eq(seen, [0] * 3 + [1] * 3 + [0] * 6 + [_supervisor.RECOVER])
    eq([restart(n == 0) for n in range(4)], [0, 0, 0, 1])
    disk.kept = flip_word(disk.kept)
    eq(restart(False), 0)


def flip_word(value):
    return value ^ 1 << 20


def crash(_board, _path):
    raise CrashedAgent


def refuse(_old, _new):
    raise OSError(5)


def test_every_bit_of_the_backup_is_checked():
    disk = sealed_disk()
    kept = content(disk, BACKUP)
    for bit in range(8 * len(kept)):
        damaged = copy_disk(disk)
        write(damaged, BACKUP, flip(kept, bit))
        start(SupervisedBoard(damaged, agent=accept_config))
        eq((bit, content(damaged, UNIT)), (bit, CONFIG))
        eq((bit, content(damaged, BACKUP)), (bit, kept))
        lost = without(damaged, UNIT, SEAL, COPY)
        write(lost, BACKUP, flip(kept, bit))
        board = SupervisedBoard(lost, agent=accept_config)
        start(board)
        eq((bit, content(lost, UNIT)), (bit, None))


def test_an_older_sealed_file_gives_way_to_the_backup():
    """The file system has gone back; a new file of a technician has no seal."""
    disk = sealed_disk()
    old = b'{"unit": "a", "supply_c": 20}'
    write(disk, UNIT, old)
    write(disk, COPY, _files.seal(old))
    write(disk, SEAL, _files.seal(old)[:32])
    start(SupervisedBoard(disk))
    eq(content(disk, UNIT), CONFIG)
    new = without(disk, SEAL, COPY)
    write(new, UNIT, NEW)
    start(SupervisedBoard(new))
    eq((content(new, UNIT), content(new, BACKUP)[36:]), (NEW, NEW))


def test_a_unit_of_an_earlier_image_gets_a_backup():
    disk = without(sealed_disk(), BACKUP)
    start(SupervisedBoard(disk))
    eq(content(disk, BACKUP)[36:], CONFIG)
    before = disk.steps
    start(SupervisedBoard(disk))
    eq(content(disk, BACKUP)[36:], CONFIG)
    assert disk.steps - before < 9, disk.steps - before


def test_a_text_that_does_not_fit_leaves_no_backup():
    disk = without(sealed_disk(), SEAL, COPY)
    large = b"{" + b" " * 254 + b"}"
    write(disk, UNIT, large)
    start(SupervisedBoard(disk))
    eq((content(disk, UNIT), content(disk, BACKUP)), (large, b""))


def test_a_text_that_does_not_fit_erases_the_flash_once():
    disk = without(sealed_disk(), SEAL, COPY)
    write(disk, UNIT, b"{" + b" " * 254 + b"}")
    erased = []
    for _ in range(3):
        board = SupervisedBoard(disk)
        board.write_backup = lambda data: erased.append(data) or write(disk, BACKUP, data)
        start(board)
    eq(erased, [b""])


def test_a_power_cut_within_an_erase_leaves_no_part_of_a_backup():
    """The first sector was erased, the others not: passwords of the unit can be in them."""
    disk = sealed_disk()
    write(disk, _unit_file.DECOMMISSIONED, b"x")
    write(disk, BACKUP, b"\xff" * 128 + b"secret" + b"\xff" * 122)
    start(SupervisedBoard(disk, agent=lambda _board, _path: 2))
    eq(content(disk, BACKUP), b"")


def test_a_decommissioned_unit_keeps_no_backup():
    disk = sealed_disk()

    def decommission(board, _path):
        write(board.disk, _unit_file.DECOMMISSIONED, b"x")
        return 2

    board = SupervisedBoard(disk, agent=decommission)
    eq(start(board), _supervisor.RECOVER)
    eq((content(disk, COPY), content(disk, SEAL), content(disk, BACKUP)), (None, None, b""))


def test_an_error_of_the_flash_is_no_error_of_the_start():
    disk = without(sealed_disk(), BACKUP)
    board = SupervisedBoard(disk, agent=accept_config)
    board.write_backup = lambda _data: refuse(0, 0)
    start(board)
    eq(board.runs(), [(UNIT, 0)])
    eq(_backup.Backup(board).read(), None)


def check_inverted_bits(step):
    if littlefs_board.vfs is None:  # CPython
        return
    data = littlefs_board.make_unit()
    used = littlefs_board.used_bytes(data)
    heads = [at for at in used if at % littlefs_board.BLOCK < 32]
    failed = []
    for at in heads + used[::step]:
        damaged = bytearray(data)
        damaged[at] ^= 1 << (at % 8)
        starts = [littlefs_board.LittlefsBoard(damaged, littlefs_board.run_good) for _ in range(2)]
        if not all([board.start() for board in starts]):  # noqa: C419 - MicroPython
            failed.append(at)
    eq(failed, [])


def test_inverted_bits_of_littlefs_leave_an_agent():
    check_inverted_bits(16)


def test_no_inverted_bit_of_littlefs_leaves_a_unit_without_an_agent():
    check_inverted_bits(1)
