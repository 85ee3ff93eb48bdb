# SPDX-License-Identifier: Apache-2.0
"""A run that was killed: its outputs are known to all users, and an operator's value stays."""

import json
from pathlib import Path
from typing import Any

import pytest

from hil.errors import BenchError
from hil.tools.commission.outputs import pending_index
from hil.tools.commission.outputs.agent_outputs import AgentRequests, MovedOutput
from hil.tools.commission.outputs.output_guard import OutputGuard
from hil.tools.commission.outputs.pending import OldWords, OutputFile
from hil.tools.commission.outputs.pending_index import read_notes, store_note
from hil.tools.commission.outputs.site_journals import check_elsewhere
from tests.hil.unit.outputs.test_way_back import open_device
from tests.hil.unit.test_signal_at_every_step import _DEVICE, RegisterClient, registers

__all__ = ["registers"]  # a fixture

_PUMP = "PumpSpeedControlPercent"
_OUTPUT = MovedOutput("cdu", _PUMP, "pump", 0, {})


def status(second: int, pump_pct: float, state: str = "ok") -> dict[str, Any]:
    device = {"name": "cdu", "state": state, "answered_us": second * 1_000_000}
    return {
        "mono_us": second * 1_000_000 + 200_000,
        "supply": {},
        "dp": {"pumps_asked_milli_pct": [pump_pct * 1000]},
        "modbus": {"devices": [device]},
    }


def killed(folder: Path, registers: RegisterClient, *statuses: dict[str, Any]) -> OutputFile:
    """Return the journal of a run that was killed, as a later call reads it."""
    pending, requests = OutputFile(folder / "unit.json.outputs"), AgentRequests()
    with open_device(_DEVICE) as access:
        late = requests.first(_OUTPUT, access.device, 600)
        pending.set_state(_DEVICE, "intended", OldWords(_PUMP, 3, 4, [600], None, "", late))
        pending.set_all("written")
        for entry in statuses:
            requests.add([_OUTPUT], entry)
            pending.set_all(
                "written",
                lambda *_: requests.ranges(_OUTPUT, access.device),
                lambda *_: requests.last(_OUTPUT, access.device),
            )
    return OutputFile(pending.path)


_RUN = [status(second, 60.0 + min(second, 8.0) + second * 0.05) for second in range(30)]
"""From 60 % to 69.45 %, at the end by 0.05 % each second."""


@pytest.mark.parametrize(
    ("held", "is_back"), [(694, True), (695, True), (690, False), (650, False), (1000, False)]
)
def test_only_the_last_words_of_a_killed_run_are_its_own(
    registers: RegisterClient, tmp_path: Path, held: int, is_back: bool
) -> None:
    pending = killed(tmp_path, registers, *_RUN)
    registers.words[4] = held
    lines: list[str] = []
    assert OutputGuard(pending, lines.append, open_device).restore_all() == []
    assert registers.words[4] == (600 if is_back else held)
    text = "are back after a test of 20" if is_back else f"it holds [{held}]"
    assert text in lines[0]
    assert pending.entries == []


def test_the_agent_has_moved_on_in_its_last_two_seconds(
    registers: RegisterClient, tmp_path: Path
) -> None:
    """The status knew 61.0 %, and the output was at 63.0 % when the program was killed."""
    run = [status(second, pct) for second, pct in enumerate((60.0, 60.5, 61.0))]
    pending = killed(tmp_path, registers, *run)
    registers.words[4] = 620 + 10
    assert OutputGuard(pending, lambda _: None, open_device).restore_all() == []
    assert registers.words[4] == 600


def test_a_lost_device_holds_what_it_took_last(registers: RegisterClient, tmp_path: Path) -> None:
    """It answered until second 10; the agent has requested other values since."""
    lost = [status(10, 80.0 + second, "lost") for second in range(9)]
    pending = killed(tmp_path, registers, *_RUN[:10], *lost)
    registers.words[4] = 685
    assert OutputGuard(pending, lambda _: None, open_device).restore_all() == []
    assert registers.words[4] == 600


@pytest.mark.parametrize(("held", "is_back"), [(700, True), (950, False)])
def test_a_run_that_was_killed_before_its_first_status(
    registers: RegisterClient, tmp_path: Path, held: int, is_back: bool
) -> None:
    pending = killed(tmp_path, registers)
    registers.words[4] = held
    assert OutputGuard(pending, lambda _: None, open_device).restore_all() == []
    assert registers.words[4] == (600 if is_back else held)


def test_another_user_sees_the_outputs(
    registers: RegisterClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "one"))
    monkeypatch.setenv(pending_index.VARIABLE, str(tmp_path / "shared"))
    (tmp_path / "a").mkdir()
    pending = killed(tmp_path / "a", registers, *_RUN)
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
