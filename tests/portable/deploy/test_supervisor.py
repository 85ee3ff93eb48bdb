# SPDX-License-Identifier: Apache-2.0
"""Supervisor of a board: damages, power cuts and failing agents leave an agent that runs."""

import hashlib

from deploy.firmware.supervisor import _failures, _files, _slots, _supervisor, _unit_file
from tests.portable.support.check import eq
from tests.portable.support.power_cut.flash_model import Disk, PowerCut
from tests.portable.support.power_cut.supervisor_rig import (
    CONFIG,
    GOOD,
    IMAGE_CONFIG,
    SLOT_BYTES,
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

LONG = ("test_a_power_cut_at_every_step_of_a_start_leaves_an_agent",)
UNIT, IMAGE = _unit_file.UNIT, _unit_file.IMAGE


def crash(_board, _path):
    raise CrashedAgent("a bad release")


class StoppedBoard(BaseException):
    """The board stopped: no code of it handles this."""


def stop(_board, _path):
    raise StoppedBoard


def accepts_only(text):
    """Return an agent that refuses all configurations but one."""

    def agent(board, path):
        return GOOD if content(board.disk, path) == text else 2

    return agent


def record(confirmed, trial=0, starts=0):
    return _files.seal(bytes((confirmed, trial, starts)) + b"rest")


def test_watchdog_starts_before_anything_else():
    board = SupervisedBoard(sealed_disk())
    eq(start(board), _supervisor.RECOVER)  # a person interrupted the agent
    eq(board.calls[:3], ["watchdog", "mount", ("load", 1)])
    eq(board.runs(), [(UNIT, 0)])


def test_every_bit_of_a_slot_is_checked():
    whole = application(7, 3)
    for bit in range(8 * len(whole)):
        damaged = flip(whole, bit)
        found = _slots.check_slot(lambda at, n, d=damaged: d[at : at + n], SLOT_BYTES, (), None)
        # Without release keys the signature and the 8 bytes behind it have no meaning.
        is_unused = 56 * 8 <= bit < 128 * 8
        eq((bit, found is not None), (bit, is_unused))
        if found is not None:
            eq((found.release, found.floor, found.image), (7, 3, whole[128:]))


def test_a_damaged_head_of_one_slot_starts_the_other():
    disk = sealed_disk()
    write(disk, _slots.RECORDS[0], record(1))
    for bit in range(8 * 56):
        board = SupervisedBoard(copy_disk(disk), [flip(application(2), bit), application(1)])
        start(board)
        eq((bit, board.runs()), (bit, [(UNIT, 1)]))


def test_without_a_record_the_newest_good_slot_runs():
    for slots, expected in (
        ([application(1), application(2)], 1),
        ([application(2), application(1)], 0),
        ([b"", application(1)], 1),
        ([application(5), flip(application(6), 8 * 130)], 0),
        ([flip(application(6), 12 * 8), application(5)], 1),
    ):
        board = SupervisedBoard(sealed_disk(), slots)
        start(board)
        eq(board.runs(), [(UNIT, expected)])


def test_every_bit_of_the_update_record_is_checked():
    disk = sealed_disk()
    for path in _slots.RECORDS:
        write(disk, path, record(2))
    slots = [application(9), application(2)]
    for path in _slots.RECORDS:
        for bit in range(8 * len(record(2))):
            damaged = copy_disk(disk)
            write(damaged, path, flip(record(2), bit))
            board = SupervisedBoard(damaged, slots)
            start(board)
            eq((path, bit, board.runs()), (path, bit, [(UNIT, 1)]))


def test_every_bit_of_the_configuration_files_is_checked_and_repaired():
    disk = sealed_disk()
    for path in (UNIT, _unit_file.SEAL, _unit_file.COPY):
        good = content(disk, path)
        for bit in range(8 * len(good)):
            damaged = copy_disk(disk)
            write(damaged, path, flip(good, bit))
            board = SupervisedBoard(damaged, agent=accepts_only(CONFIG))
            start(board)
            eq((path, bit, board.runs()), (path, bit, [(UNIT, 0)]))
            eq(content(damaged, path), good)


def test_truncated_empty_and_missing_configuration_files():
    disk = sealed_disk()
    for path in (UNIT, _unit_file.SEAL, _unit_file.COPY):
        good = content(disk, path)
        for size in range(len(good)):
            damaged = copy_disk(disk)
            write(damaged, path, good[:size])
            start(SupervisedBoard(damaged, agent=accepts_only(CONFIG)))
            eq((path, size, content(damaged, path)), (path, size, good))
        damaged = copy_disk(disk)
        del damaged.names[path]
        start(SupervisedBoard(damaged, agent=accepts_only(CONFIG)))
        eq((path, content(damaged, path)), (path, good))


def test_a_file_and_its_copy_damaged_leave_the_one_in_the_application():
    disk = sealed_disk()
    write(disk, UNIT, b"{")
    write(disk, _unit_file.COPY, b"")
    board = SupervisedBoard(disk, agent=accepts_only(IMAGE_CONFIG))
    start(board)
    eq(board.runs(), [(UNIT, 0), (IMAGE, 0)])


def test_a_new_configuration_of_a_technician_is_sealed():
    disk = sealed_disk()
    for path in (_unit_file.SEAL, _unit_file.COPY):
        del disk.names[path]
    write(disk, UNIT, b'{"new": 1}')
    start(SupervisedBoard(disk))
    eq(content(disk, _unit_file.SEAL), hashlib.sha256(b'{"new": 1}').digest())
    eq(_files.unseal(content(disk, _unit_file.COPY)), b'{"new": 1}')


def test_a_failing_agent_gets_the_next_level():
    disk, slots, seen = sealed_disk(), [application(2), application(1)], []
    write(disk, _slots.RECORDS[0], record(1))
    for _ in range(12):
        board = SupervisedBoard(disk, slots, crash, power_on=False)
        eq(start(board), _supervisor.RESET)
        seen.append(board.runs()[0])
    eq(seen, [(UNIT, 0)] * 3 + [(UNIT, 1)] * 3 + [(UNIT, 0)] * 3 + [(IMAGE, 0)] * 3)
    board = SupervisedBoard(disk, slots, crash, power_on=False)
    eq((start(board), board.runs()), (_supervisor.RECOVER, []))
    board = SupervisedBoard(disk, slots, power_on=False)  # the recovery mode has ended
    start(board)
    eq(board.runs(), [(UNIT, 0)])
    assert b"a bad release" in _files.unseal(content(disk, _supervisor.CRASH))


def test_a_hang_counts_a_power_cut_does_not():
    disk = sealed_disk()
    write(disk, _slots.RECORDS[0], record(1))

    def restart(power_on):
        board = SupervisedBoard(disk, [application(2), application(1)], stop, power_on)
        try:
            start(board)
        except StoppedBoard:
            pass
        return board.runs()[0][1]

    eq([restart(True) for _ in range(20)], [0] * 20)
    eq([restart(False) for _ in range(5)], [0, 0, 1, 1, 1])


def test_a_crash_is_reported_until_an_agent_has_run_calmly():
    disk = sealed_disk()
    start(SupervisedBoard(disk, agent=crash, power_on=False))
    for _ in range(2):
        reset, kept = _supervisor.start_notes("watchdog")
        eq(reset, ("reset", "watchdog"))
        eq((kept[0], "a bad release" in kept[1]), ("crash", True))
    _supervisor.end_crash()
    eq(_supervisor.start_notes("power on"), (("reset", "power on"),))
    eq("a bad release" in _supervisor.read_crash(), True)  # for the recovery mode
    write(disk, _supervisor.CRASH, _files.seal(b"x" * 500 + b"\xc3 another"))
    eq(_supervisor.start_notes("watchdog")[1], ("crash", "x" * (400 - 9) + "? another"))
    for bit in range(8 * 40):
        write(disk, _supervisor.CRASH, flip(_files.seal(b"x" * 500), bit))
        eq(_supervisor.start_notes("watchdog"), (("reset", "watchdog"),))


def test_a_calm_run_ends_the_count():
    disk = sealed_disk()
    for _ in range(2):
        start(SupervisedBoard(disk, agent=crash, power_on=False))

    def calm(board, _path):
        board.count.clear()
        raise StoppedBoard

    try:
        start(SupervisedBoard(disk, agent=calm, power_on=False))
    except StoppedBoard:
        pass
    eq(_failures.FailureCount(False, SupervisedBoard(disk)).failures, 0)


def test_a_trial_has_its_own_count():
    disk = sealed_disk()
    for path in _slots.RECORDS:
        write(disk, path, record(1, 2))
    slots, seen = [application(1), application(2)], []

    def agent(board, _path):
        if board.calls[-1][3] == 2:
            raise CrashedAgent
        return GOOD

    for _ in range(5):
        board = SupervisedBoard(disk, slots, agent, power_on=False)
        start(board)
        seen.append(board.runs()[0][1])
    eq(seen, [1, 1, 1, 0, 0])
    eq(board.count.failures, 0)


def test_a_trial_that_cannot_be_counted_is_not_started():
    """On a full storage a crashing release would start again for ever."""
    disk = sealed_disk()
    for path in _slots.RECORDS:
        write(disk, path, record(1, 2))

    def refuse(_old, _new):
        raise OSError(28)

    disk.rename = refuse
    board = SupervisedBoard(disk, [application(1), application(2)], crash, power_on=False)
    eq((start(board), board.runs()), (_supervisor.RESET, [(UNIT, 0)]))
    eq(board.count.failures, 0)


def test_the_mark_of_a_good_slot_replaces_only_the_hash():
    """Every damage of the slot or of the mark is found, and other keys make the mark void."""
    disk = sealed_disk()
    good, mark_path = application(1), _slots.MARKS[0]
    assert content(disk, mark_path) is not None
    verified = []

    def run(slots, keys=(), on=disk, power_on=True):
        board = SupervisedBoard(copy_disk(on), slots, power_on=power_on)
        board.keys = keys
        board.verify = lambda *_: bool(verified.append(1)) or False
        start(board)
        return board.runs()

    for bit in range(8 * len(good)):
        is_unused = 56 * 8 <= bit < 128 * 8
        eq((bit, bool(run([flip(good, bit), b""]))), (bit, is_unused))
    for bit in range(8 * len(content(disk, mark_path))):
        damaged = copy_disk(disk)
        write(damaged, mark_path, flip(content(disk, mark_path), bit))
        eq((bit, run([good, b""], on=damaged)), (bit, [(UNIT, 0)]))
    eq((verified, run([good, b""], (b"k" * 32,)), len(verified)), ([1], [], 1))


def test_a_mark_is_not_used_after_a_failed_start():
    disk = sealed_disk()
    start(SupervisedBoard(disk, agent=crash, power_on=False))
    seen = []
    board = SupervisedBoard(disk, power_on=False)
    check, _slots.read_mark = _slots.read_mark, seen.append
    try:
        start(board)
    finally:
        _slots.read_mark = check
    eq((seen, board.runs()), ([], [(UNIT, 0)]))


def test_older_release_than_the_floor_is_not_started():
    disk = sealed_disk()
    write(disk, _slots.RECORDS[0], record(1))
    start(SupervisedBoard(disk, [application(4, 3), application(2)]))
    for path in _slots.FLOOR_FILES:
        good = content(disk, path)
        for bit in range(8 * len(good)):
            damaged = copy_disk(disk)
            write(damaged, path, flip(good, bit))
            board = SupervisedBoard(damaged, [b"", application(2)])
            eq((start(board), board.runs()), (_supervisor.RECOVER, []))
    board = SupervisedBoard(disk, [b"", application(3)])
    start(board)
    eq(board.runs(), [(UNIT, 1)])


def test_only_a_confirmed_release_raises_the_floor():
    """Else a release that fails, started after failed starts, locks out the good one for ever."""
    for has_record, failures in ((True, 6), (False, 3)):
        disk, slots = sealed_disk(), [application(8), application(9, 9)]
        if has_record:
            write(disk, _slots.RECORDS[0], record(1))
        for _ in range(failures):
            start(SupervisedBoard(disk, slots, crash, power_on=False))
        board = SupervisedBoard(disk, slots, power_on=False)
        start(board)
        eq((has_record, board.runs(), _slots.read_floor()), (has_record, [(UNIT, 0)], 0))


def test_a_floor_above_its_own_release_is_no_application():
    """It would start once and lock out itself and the other slot."""
    board = SupervisedBoard(sealed_disk(), [application(2, 5), application(1)])
    start(board)
    eq((board.runs(), _slots.read_floor()), ([(UNIT, 1)], 0))


def test_an_error_before_the_agent_is_a_failed_start():
    """The board reads its slots before it runs: a reset alone would repeat the error for ever."""

    for error in (OSError(5), MemoryError(), StoppedBoard()):

        def fail(_number, _at, _size, error=error):
            raise error

        disk, outcomes = sealed_disk(), []
        for _ in range(13):
            board = SupervisedBoard(disk, power_on=False)
            board.read_slot = fail
            try:
                outcomes.append(start(board))
            except StoppedBoard:
                outcomes.append(_supervisor.RESET)
        eq(outcomes, [_supervisor.RESET] * 12 + [_supervisor.RECOVER])


def test_a_file_without_memory_for_it_is_an_unreadable_file():
    def refuse(_path, _mode):
        raise MemoryError

    disk = sealed_disk()
    good = disk.open
    for path in list(disk.names):
        disk.open = lambda name, mode, path=path: (refuse if name == path else good)(name, mode)
        board = SupervisedBoard(disk, power_on=False)
        start(board)
        eq((path, len(board.runs())), (path, 1))
    _files.open = refuse
    eq((_files.read("x"), _files.replace("x", b"y"), _files.erase("x")), (None, False, None))


def test_release_keys_refuse_all_other_signatures():
    key, plain = b"k" * 32, application(2)
    digest = plain[24:56]
    signature = hashlib.sha256(key + _slots.PREFIX + digest).digest() * 2
    signed = application(2, signature=signature)
    for slots, runs in (
        ([signed, b""], 1),
        ([plain, b""], 0),
        ([application(3, signature=signature), b""], 0),
    ):
        board = SupervisedBoard(sealed_disk(), slots)
        board.keys = (b"other" * 6 + b"..", key)
        start(board)
        eq(len(board.runs()), runs)
    for bit in range(8 * 120):
        board = SupervisedBoard(sealed_disk() if not bit else board.disk, [flip(signed, bit), b""])
        board.keys = (key,)
        start(board)
        eq((bit, board.runs()), (bit, []))


def test_a_board_without_storage_runs_the_configuration_in_the_application():
    disk = Disk()
    write(disk, IMAGE, IMAGE_CONFIG)
    board = SupervisedBoard(disk)
    board.has_storage = False
    start(board)
    eq(board.runs(), [(IMAGE, 0)])


def test_a_board_without_a_configuration_waits_in_the_recovery_mode():
    board = SupervisedBoard(Disk())
    eq((start(board), board.runs()), (_supervisor.RECOVER, []))
    eq(_failures.FailureCount(False, board).failures, 0)


def test_a_decommissioned_unit_keeps_no_copy_of_its_configuration():
    disk = sealed_disk()
    write(disk, _unit_file.DECOMMISSIONED, b"x")
    board = SupervisedBoard(disk, agent=lambda _board, _path: 2)
    eq(start(board), _supervisor.RECOVER)
    eq((content(disk, _unit_file.COPY), content(disk, _unit_file.SEAL)), (None, None))


def test_a_power_cut_at_every_step_of_a_start_leaves_an_agent():
    """The start has to repair a file, to count a trial or to keep a crash."""
    damaged = sealed_disk()
    write(damaged, UNIT, b"{")
    new = copy_disk(sealed_disk())
    for path in (_unit_file.SEAL, _unit_file.COPY):
        del new.names[path]
    trial = sealed_disk()
    for path in _slots.RECORDS:
        write(trial, path, record(1, 2))
    slots, cuts = [application(1), application(2)], 0
    for disk in (damaged, new, trial):
        for cut in range(200):
            cut_disk = copy_disk(disk)
            cut_disk.cut_at = cut
            try:
                start(SupervisedBoard(cut_disk, slots, crash, power_on=False))
                break
            except PowerCut:
                cuts += 1
            for outcome in ("lost", "torn", "kept"):
                after = cut_disk.after_cut(outcome)
                board = SupervisedBoard(after, slots, accepts_only(CONFIG))
                start(board)
                eq((cut, outcome, content(after, UNIT)), (cut, outcome, CONFIG))
                eq((cut, outcome, board.runs()[-1][0]), (cut, outcome, UNIT))
    assert cuts > 20, cuts
