# SPDX-License-Identifier: Apache-2.0
"""Recovery mode of a board: its commands, and what a disturbed line cannot do."""

import binascii
import hashlib

from agent.remote.storage.unit_key import UNIT_KEY, read_unit_key
from deploy.firmware.supervisor import _files, _recovery, _supervisor, _unit_file, _unit_key
from tests.portable.support.check import eq
from tests.portable.support.power_cut.flash_model import Disk
from tests.portable.support.power_cut.supervisor_rig import content, flip, sealed_disk, write

CONFIG = b'{"unit": "new"}' * 20


LINE_MS = 500


class ScriptConsole:
    """Gives the lines of a script, one each 0.5 s, then none."""

    def __init__(self, lines):
        self.script, self.lines, self.elapsed_ms = list(lines), [], 0

    def begin(self):
        self.elapsed_ms = 0

    def read_line(self, timeout_ms):
        self.elapsed_ms += LINE_MS
        return self.script.pop(0) if self.script and self.elapsed_ms < timeout_ms else None

    def write_line(self, text):
        self.lines.append(text)


def recover(lines, disk=None):
    disk = disk or Disk()
    _files.open, _files.os = disk.open, disk
    console, erased = ScriptConsole(lines), []
    return _recovery.recover(console, "watchdog", lambda: erased.append(1)), console.lines, erased


def send(config, expected=None):
    lines = [binascii.b2a_base64(config[at : at + 57]).decode() for at in range(0, len(config), 57)]
    return [
        "config " + (expected or binascii.hexlify(hashlib.sha256(config).digest()).decode())
    ] + (lines + ["."])


def test_without_input_the_board_starts_again():
    eq(recover([])[0], _recovery.RESET)
    eq(recover(["", "noise \x00", "reset"])[0], _recovery.RESET)


def test_a_device_that_sends_lines_does_not_hold_the_board():
    """Only a command is a sign of a person; a receiver at the service UART is none."""
    some = send(CONFIG)[:2]
    for lines in (["$GNRMC,,V*00"] * 200, [""] * 200, some + [" "] * 200):
        eq(recover(lines + ["prompt"])[0], _recovery.RESET)
    noise = ["x"] * 100
    eq(recover(noise + ["help"] + noise + ["prompt"])[0], _recovery.PROMPT)
    eq(recover(send(bytes(_recovery.MAX_CONFIG)) + ["prompt"])[0], _recovery.PROMPT)


def test_prompt_is_only_for_the_whole_word():
    eq(recover(["prompt "])[0], _recovery.PROMPT)
    eq(recover(["prompts", "xprompt", "prompt now"])[0], _recovery.RESET)


def test_configuration_is_stored_after_a_good_hash():
    disk = sealed_disk()
    _, lines, _ = recover(send(CONFIG), disk)
    eq((lines[1], content(disk, _unit_file.UNIT)), ("stored", CONFIG))
    eq((content(disk, _unit_file.SEAL), content(disk, _unit_file.COPY)), (None, None))


def test_damaged_configuration_changes_nothing():
    disk = sealed_disk()
    before = {path: node[0] for path, node in disk.names.items()}
    for lines in (
        send(CONFIG, "00" * 32),
        send(CONFIG)[:-1],
        send(CONFIG)[:1] + ["*", "."],
        send(bytes(_recovery.MAX_CONFIG + 100)),
    ):
        assert recover(lines, disk)[1][1].startswith("refused"), lines[:2]
    eq({path: node[0] for path, node in disk.names.items()}, before)


def test_format_needs_a_second_line():
    eq(recover(["format", "no"])[2], [])
    eq(recover(["format"])[2], [])
    eq(recover(["format", "yes"])[2], [1])


def test_status_shows_the_last_crash():
    disk = Disk()
    write(disk, _supervisor.CRASH, _files.seal(b"Traceback\nOSError: 5"))
    eq(recover(["status"], disk)[1][1:], ["reset: watchdog", "Traceback", "OSError: 5"])
    write(disk, _supervisor.CRASH, b"torn")
    eq(recover(["status"], disk)[1][1:], ["reset: watchdog", "no crash"])


def test_the_key_of_a_unit_is_made_once():
    disk = Disk()
    first = recover(["key", "key", "reset"], disk)[1]
    keys = [line for line in first if line.startswith("unit key ")]
    eq((len(keys), keys[0] == keys[1], len(keys[0])), (2, True, 9 + 64))
    others = [line for line in recover(["key", "reset"])[1] if line.startswith("unit key ")]
    assert others != keys[:1], others
    path = _unit_key.PATH
    good = content(disk, path)
    found = read_unit_key({UNIT_KEY: good}.get)
    assert found is not None, "the agent does not read the key of the recovery mode"
    eq((path.split("/")[-1], found[1].hex()), (UNIT_KEY, keys[0][9:]))
    write(disk, path, flip(good, 300))
    lines = recover(["key", "reset"], disk)[1]
    assert keys[0] not in lines, lines
