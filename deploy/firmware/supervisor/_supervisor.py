# SPDX-License-Identifier: Apache-2.0
"""Supervisor of a board: starts the newest good application on the newest good configuration.

Frozen into the firmware. Does not touch the hardware; a `Board` does (mps2/_start.py,
rp2/_start.py). A start has these steps:

1. The watchdog starts. From here on a hang ends in a reset.
2. The storage is mounted. Without it the configuration in the application runs.
3. _failures.py tells from the failed starts what to run. The recovery mode comes last.
4. _slots.py selects the slot: the one on trial, the confirmed one, the other one.
5. _unit_file.py checks and repairs the configuration file, from its copy or its backup.
6. The agent runs. If it refuses a configuration, the next one is tried in the same start.

Each end is a reset or the recovery mode, never a prompt. An exception is kept in CRASH over the
reset. The outputs stay safe: before the first write of the agent, the communication timeouts of the
drives apply.
"""

import io
import sys

try:
    import _backup  # type: ignore[import-not-found]
    import _failures  # type: ignore[import-not-found]
    import _files  # type: ignore[import-not-found]
    import _slots  # type: ignore[import-not-found]
    import _unit_file  # type: ignore[import-not-found]
except ImportError:  # in the tests
    from deploy.firmware.supervisor import _backup, _failures, _files, _slots, _unit_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Board(Protocol):
        """A board. `slot_bytes`: bytes of a slot; `keys`: release keys; `cause`: of the reset.

        `keeps_marks`: a slot that was good needs only its sum at the next start; see _slots.py.
        `checksum`: 32 bits of a sum that any damage within one word changes.
        `backup_bytes`, `read_backup`, `write_backup`: see _backup.py. `mount_text` makes a text
        readable as a file without the storage, and returns its path. `read_retained`,
        `write_retained`: see _failures.py.
        """

        cause: str
        is_power_on: bool
        slot_bytes: int
        keys: tuple[bytes, ...]
        keeps_marks: bool
        backup_bytes: int
        verify: Callable[..., bool] | None

        def log(self, text: str) -> None: ...
        def start_watchdog(self) -> None: ...
        def mount(self) -> bool: ...
        def read_slot(self, number: int, at: int, size: int) -> bytes: ...
        def checksum(self, image: bytes) -> int: ...
        def read_backup(self, at: int, size: int) -> bytes: ...
        def write_backup(self, data: bytes) -> None: ...
        def mount_text(self, text: bytes) -> str: ...
        def read_retained(self) -> int: ...
        def write_retained(self, value: int) -> None: ...
        def load(self, image: bytes) -> None: ...
        def run(
            self, path: str, number: int, release: int, count: "_failures.FailureCount"
        ) -> int: ...


CRASH = "/flash/boot.crash"
REPORTED = "/flash/boot.reported"
"""The crash that the agent has reported."""
MAX_CRASH = 2048  # bytes
MAX_REPORT = 400  # characters: a record of the telemetry log
RESET, RECOVER = 0, 1
_RESTARTED, _INVALID = 4, 2
"""Results of `main` in agent/runtime/micropython.py."""


def supervise(board: "Board") -> int:
    """Run the agent once; return RESET or RECOVER."""
    board.start_watchdog()
    board.log("reset: " + board.cause)
    if not board.mount():
        board.log("storage: not usable")
    count = _failures.FailureCount(board.is_power_on, board)
    if count.level:
        board.log("%d failed starts: %s" % (count.failures, _failures.NAMES[count.level]))
    if count.level == _failures.RECOVERY:
        count.clear()
        return RECOVER
    is_trial = False
    count.begin(is_trial)  # an error or a hang in the check of the slots counts too
    try:
        chosen = choose_slot(board, count.level, board.keeps_marks and not count.failures)
        if chosen is None:
            board.log("no application")
            count.end()
            return RECOVER
        number, slot, is_trial = chosen
        if is_trial:
            count.begin(is_trial)
        board.load(slot.image)
        return _run(board, count, number, slot.release, is_trial)
    except Exception as error:
        count.fail(is_trial)
        keep_crash(error, board.log)
        return RESET


def choose_slot(
    board: "Board", level: int, use_marks: bool
) -> "tuple[int, _slots.Slot, bool] | None":
    """Return the number of the slot, its content, and whether it is on trial."""
    body = _slots.read_record()
    newest = 0
    if body is None:
        newest = _slots.newest_slot(lambda number: board.read_slot(number, 0, _slots.HEAD))
    order, changed = _slots.start_order(body, newest)
    if changed is not None and not _slots.write_record(changed):
        board.log("the trial cannot be counted: the storage")
        order, changed = order[::-1], None
    elif changed is None and level == _failures.OTHER:
        order = order[::-1]
    floor = _slots.read_floor()
    for place, number in enumerate(order):
        slot = _check_slot(board, number, use_marks)
        name = _slots.NAMES[number]
        if slot is None:
            board.log("slot %s: empty or damaged" % name)
        elif slot.release < floor:
            board.log("slot %s: release %d is below %d" % (name, slot.release, floor))
        else:
            is_trial = changed is not None and place == 0
            text = "".join(["%02x" % byte for byte in slot.hash])
            text += ", on trial" if is_trial else ""
            if not is_trial and body is not None and number == body[0] - 1:
                _slots.raise_floor(slot.floor)
            board.log("slot %s, release %d, sha256 %s" % (name, slot.release, text))
            return number, slot, is_trial
    return None


def _check_slot(board: "Board", number: int, use_marks: bool) -> "_slots.Slot | None":
    def read(at: int, size: int) -> bytes:
        return board.read_slot(number, at, size)

    stored = _slots.read_mark(number) if use_marks else None
    keys, verify = board.keys, board.verify
    slot = _slots.check_slot(read, board.slot_bytes, keys, verify, stored, board.checksum)
    if slot is not None and use_marks:
        head = bytes(read(0, _slots.HEAD))
        mark = _slots.make_mark(head, slot.image, keys, board.checksum)
        if mark != stored:
            _slots.write_mark(number, mark)
    return slot


def _run(
    board: "Board", count: "_failures.FailureCount", number: int, release: int, is_trial: bool
) -> int:
    """Run the agent on the first configuration that it accepts."""
    backup = _backup.Backup(board)
    paths = _config_paths(board, count.level, backup)
    if not paths:
        board.log("no configuration")
        count.end()
        return RECOVER
    for path in paths:
        board.log("configuration " + path)
        code = board.run(path, number, release, count)
        board.log("the agent ended with %d" % code)
        if code != _INVALID:
            count.end()
            return RESET if code == _RESTARTED else RECOVER
    if _unit_file.is_decommissioned():
        _unit_file.erase_copies(backup)
        count.end()
        return RECOVER
    count.fail(is_trial)  # the other slot can accept a configuration that this one refuses
    return RESET


def _config_paths(board: "Board", level: int, backup: "_backup.Backup") -> "list[str]":
    """Return the configurations in the order of the attempts.

    Without a usable file the agent takes the confirmed configuration of its store. Without a usable
    storage it takes the backup.
    """
    paths = []
    has_file = _unit_file.repair(board.log, backup)
    if has_file or _files.read(_slots.FOLDER + "/config.record") is not None:
        paths.append(_unit_file.UNIT)
    text = None if has_file else backup.read()
    if text is not None:
        paths.append(board.mount_text(text))
    if _files.read(_unit_file.IMAGE) is not None:
        paths.insert(0 if level == _failures.IMAGE else len(paths), _unit_file.IMAGE)
    return paths


def keep_crash(error: Exception, log: "Callable[[str], None]") -> None:
    """Print an exception, and keep it over the reset."""
    text = trace(error)
    log("the agent failed")
    for line in text.splitlines():
        log(line)
    _files.replace(CRASH, _files.seal(text.encode()[-MAX_CRASH:]))


def read_crash() -> str:
    """Return the last crash that was kept; empty if there is none."""
    body = _files.unseal(_files.read(CRASH))
    return "".join([chr(byte) if byte < 128 else "?" for byte in body or b""])


def start_notes(cause: str) -> "tuple[tuple[str, str], ...]":
    """Return what the agent reports about this start: the reset, and the last lines of a crash.

    A crash is reported at each start until an agent has run for 10 minutes.
    """
    crash = read_crash()
    if not crash or _files.read(REPORTED) == crash.encode():
        return (("reset", cause),)
    return ("reset", cause), ("crash", crash[-MAX_REPORT:])


def end_crash() -> None:
    """Note that the kept crash was reported. The recovery mode still shows it."""
    crash = read_crash().encode()
    if crash and _files.read(REPORTED) != crash:
        _files.replace(REPORTED, crash)


def trace(error: Exception) -> str:
    """Return the trace of an exception."""
    output = io.StringIO()
    module: Any = sys
    if hasattr(module, "print_exception"):  # MicroPython
        module.print_exception(error, output)
        return output.getvalue()
    return repr(error)
