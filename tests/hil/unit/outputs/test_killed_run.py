# SPDX-License-Identifier: Apache-2.0
"""A run that was killed: its outputs are known to all users, and an operator's value stays."""

import json
from pathlib import Path
from typing import Any

import pytest

from drivers.ports.address import parse_address
from hil.errors import BenchError
from hil.io import write_trace
from hil.io.write_trace import WriteTrace, written_words
from hil.tools.commission.outputs import pending_index
from hil.tools.commission.outputs.output_guard import OutputGuard
from hil.tools.commission.outputs.pending import OldWords, OutputFile
from hil.tools.commission.outputs.pending_index import read_notes, store_note
from hil.tools.commission.outputs.site_journals import check_elsewhere
from tests.hil.unit.outputs.test_way_back import open_device
from tests.hil.unit.test_signal_at_every_step import _DEVICE, RegisterClient, registers

__all__ = ["registers"]  # a fixture

_PUMP = "PumpSpeedControlPercent"
_TCP = str(_DEVICE["port"])


class ConfirmingLine:
    """A Modbus TCP line that confirms each write request, or none."""

    pollable = None

    def __init__(self) -> None:
        self.replies: list[bytes] = []
        self.is_confirming = True

    def write(self, data: bytes) -> int:
        if self.is_confirming:
            self.replies.append(data[:12])
        return len(data)

    def read(self) -> bytes:
        return self.replies.pop() if self.replies else b""


def traced_line(path: Path) -> tuple[Any, ConfirmingLine]:
    """Return a port whose writes are traced, and the line behind it."""
    line = ConfirmingLine()
    openers: Any = {"tcp": lambda *_: line}
    return WriteTrace(path).openers(openers)["tcp"](parse_address(_TCP), lambda: None), line


def request(body: bytes) -> bytes:
    return b"\0\1\0\0" + (len(body) + 1).to_bytes(2, "big") + b"\7" + body


def speed(count: int) -> bytes:
    """Return the request that writes the pump speed."""
    return request(b"\6\0\4" + count.to_bytes(2, "big"))


def write_all(folder: Path, counts: list[int], *, lost_after: int | None = None) -> Path:
    """Trace writes of the pump speed; the device confirms those up to `lost_after`."""
    path = folder / "unit.json.writes"
    port, line = traced_line(path)
    for i, count in enumerate(counts):
        line.is_confirming = lost_after is None or i < lost_after
        port.write(request(b"\3\0\0\0\10"))  # a poll
        port.write(speed(count))
        for _ in range(3):
            port.read()
    return path


def killed(folder: Path, trace: Path | None = None) -> OutputFile:
    """Return the journal of a run that was killed, as a later call reads it."""
    pending = OutputFile(folder / "unit.json.outputs")
    late = [[580, 720]]
    text = str(trace) if trace else ""
    pending.set_state(_DEVICE, "written", OldWords(_PUMP, 3, 4, [600], None, "", late, text))
    return OutputFile(pending.path)


def returned(registers: RegisterClient, pending: OutputFile, held: int) -> str:
    """Return the line of the later call, with the output at `held`."""
    registers.words[4] = held
    lines: list[str] = []
    assert OutputGuard(pending, lines.append, open_device).restore_all() == []
    assert pending.entries == []
    return lines[0]


_RUN = [600 + min(second * 10, 80) + second // 2 for second in range(30)]
"""From 60 % to 69.4 %; at the end by 0.1 % each two seconds."""


@pytest.mark.parametrize(
    ("held", "is_back"),
    [(694, True), (695, True), (693, True), (690, False), (650, False), (1000, False)],
)
def test_only_the_last_words_of_a_killed_run_are_its_own(
    registers: RegisterClient, tmp_path: Path, held: int, is_back: bool
) -> None:
    line = returned(registers, killed(tmp_path, write_all(tmp_path, _RUN)), held)
    assert registers.words[4] == (600 if is_back else held)
    assert ("are back after a test of 20" if is_back else f"it holds [{held}]") in line


@pytest.mark.parametrize("counts", [[634], [600, 600, 634], [600, 1000], [640, 0], [600, 650, 560]])
@pytest.mark.parametrize("lost_after", [None, 0, 1])
def test_the_output_of_a_kill_at_any_moment_returns(
    registers: RegisterClient, tmp_path: Path, counts: list[int], lost_after: int | None
) -> None:
    """The write was sent, and no status of the agent has known it."""
    pending = killed(tmp_path, write_all(tmp_path, counts, lost_after=lost_after))
    assert "are back" in returned(registers, pending, counts[-1])
    assert registers.words[4] == 600


def test_a_run_that_was_killed_before_its_first_write(
    registers: RegisterClient, tmp_path: Path
) -> None:
    pending = killed(tmp_path, write_all(tmp_path, []))
    assert "it holds [610]" in returned(registers, pending, 610)


def test_a_lost_device_holds_what_it_took_last(registers: RegisterClient, tmp_path: Path) -> None:
    """It confirmed ten writes; the agent has sent others since."""
    counts = [*_RUN[:10], *range(800, 900, 10)]
    path = write_all(tmp_path, counts, lost_after=10)
    for held in (_RUN[9], 800, 890):
        assert "are back" in returned(registers, killed(tmp_path, path), held)
    assert f"it holds [{_RUN[3]}]" in returned(registers, killed(tmp_path, path), _RUN[3])


def test_without_a_trace_a_value_of_the_run_is_its_own(
    registers: RegisterClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine has started again: the last lines of a trace can be missing then."""
    path = write_all(tmp_path, _RUN)
    monkeypatch.setattr(write_trace, "_BOOT", tmp_path / "other")
    assert "are back" in returned(registers, killed(tmp_path, path), 650)
    assert "it holds [1000]" in returned(registers, killed(tmp_path, path), 1000)


def test_words_of_several_registers_and_of_other_framings(tmp_path: Path) -> None:
    path = tmp_path / "writes"
    port, _ = traced_line(path)
    port.write(request(b"\x10\0\x08\0\2\4\x42\x70\0\1"))
    port.write(b"\7\x10\0\x08\0\2\4\x42\x71\0\2" + b"\xaa\xbb")  # RTU behind a gateway
    port.write(b":0710000800020442720003" + b"00\r\n")
    port.write(request(b"\5\0\3\xff\0"))
    assert written_words(path, _TCP, 7, 3, 8, 2) == [[0x4272, 3], [0x4271, 2], [0x4270, 1]]
    assert written_words(path, _TCP, 7, 1, 3, 1) == [[1]]
    assert written_words(path, _TCP, 8, 3, 8, 2) == []
    assert written_words(path, "tcp:127.0.0.1:2", 7, 3, 8, 2) == []
    assert written_words(path, _TCP, 7, 3, 8, 1) == [[0x4272], [0x4271], [0x4270]]
    assert written_words(path, _TCP, 7, 3, 7, 2) is None  # a part of the registers
    port.write(request(b"\x16\0\x20\xff\0\0\1"))
    assert written_words(path, _TCP, 7, 3, 32, 1) is None  # a mask of bits
    with path.open("a") as file:
        file.write('{"port": "half a li')
    assert written_words(path, _TCP, 7, 1, 3, 1) == [[1]]
    path.write_text('{"boot": 7}\n[]\n')
    assert written_words(path, _TCP, 7, 1, 3, 1) is None


def test_a_trace_that_cannot_be_written_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An incomplete trace would say that the agent has not written."""
    path = tmp_path / "writes"
    port, _ = traced_line(path)

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hil.io.write_trace.os.write", refuse)
    assert port.write(speed(634)) == len(speed(634))
    assert not path.exists()
    assert port.write(speed(635)) == len(speed(635))


def test_another_user_sees_the_outputs(
    registers: RegisterClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "one"))
    monkeypatch.setenv(pending_index.VARIABLE, str(tmp_path / "shared"))
    (tmp_path / "a").mkdir()
    pending = killed(tmp_path / "a")
    shared = tmp_path / "shared"
    assert shared.stat().st_mode & 0o7777 == 0o1777
    assert [entry.stat().st_mode & 0o777 for entry in shared.iterdir()] == [0o644]
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "two"))
    own = tmp_path / "b" / "unit.json.outputs"
    elsewhere = r"test of 20.* has moved PumpSpeedControlPercent \(old words \[600\]\)"
    with pytest.raises(BenchError, match=elsewhere):
        check_elsewhere([_DEVICE], own)
    with monkeypatch.context() as patch:  # the folder of the other user cannot be read
        patch.setattr("os.access", lambda *_: False)
        with pytest.raises(BenchError, match=elsewhere):
            check_elsewhere([_DEVICE], own)
    check_elsewhere([{**_DEVICE, "unit": 8}], own)
    pending.forget_all()
    assert read_notes() == []


def test_other_files_of_the_shared_folder_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    monkeypatch.setenv(pending_index.VARIABLE, str(shared))
    shared.mkdir()
    journal = tmp_path / "unit.json.outputs"
    journal.write_text("")
    for name, text in (
        *(("a", "{}"), ("b", "[7]"), ("c", "\xff"), ("d", '{"journal": "/x", "utc": "", ')),
        ("e", json.dumps({"journal": "/x", "utc": "", "outputs": [{"device": 7}]})),
    ):
        (shared / name).write_text(text)
    (shared / "f").symlink_to("/dev/zero")
    assert read_notes() == []
    check_elsewhere([_DEVICE], tmp_path / "b" / "x")
    entry = {"device": _DEVICE, "old": OldWords(_PUMP, 3, 4, [600])._asdict()}
    store_note(journal, [entry])
    assert [found.journal for found in read_notes()] == [journal]
    stat = Path.stat

    def refuse(path: Path, **details: Any) -> Any:
        if path == journal:  # in the folder of another user
            raise PermissionError(13, "Permission denied")
        return stat(path, **details)

    monkeypatch.setattr("pathlib.Path.stat", refuse)
    with pytest.raises(BenchError, match="has moved"):
        check_elsewhere([_DEVICE], tmp_path / "b" / "x")


def test_a_user_without_the_shared_folder_has_own_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(pending_index.VARIABLE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(pending_index, "_SHARED", str(tmp_path / "file"))
    entry = {"device": _DEVICE, "old": OldWords(_PUMP, 3, 4, [600])._asdict()}
    store_note(tmp_path / "journal", [entry])
    own = tmp_path / "config" / "coldloop" / "pending-outputs"
    assert [found.file.parent for found in read_notes()] == [own]
    (own / "earlier").write_bytes(b"/of/an/earlier/version")
    journals = {str(found.journal) for found in read_notes()}  # in the order of hashes
    assert journals == {str(tmp_path / "journal"), "/of/an/earlier/version"}
    store_note(tmp_path / "journal", [])
    store_note(Path("/of/an/earlier/version"), [])
    assert [found.file.name for found in read_notes()] == ["earlier"]
