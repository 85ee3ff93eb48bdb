# SPDX-License-Identifier: Apache-2.0
"""Both runtimes writing to a store beside a serial line in use."""

from pathlib import Path

import pytest

from tests.support.runtime_rig import INTERPRETERS, open_pty, run_toy

pytestmark = pytest.mark.parametrize("interpreter", INTERPRETERS)


def test_record_is_written_whole_and_drained(interpreter: str, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "status.json").write_text("old", encoding="utf-8")
    with (
        open_pty() as line,
        run_toy(interpreter, tmp_path, f"serial:{line.path}", f"store:{folder}") as agent,
    ):
        agent.expect_all("event 0 opened", "event 1 opened")
        for count in range(20):
            line.write(b"!store status.json new%d" % count)
            agent.expect("event 1 drained")
            assert (folder / "status.json").read_bytes() == b"new%d" % count
    assert [path.name for path in folder.iterdir()] == ["status.json"]


def test_last_record_is_written_before_the_end(interpreter: str, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    with (
        open_pty() as line,
        run_toy(interpreter, tmp_path, f"serial:{line.path}", f"store:{folder}") as agent,
    ):
        agent.expect_all("event 0 opened", "event 1 opened")
        line.write(b"!store last words")
        agent.expect("data 0 17")
        line.write(b"!quit")
        agent.expect("end 0")
    assert (folder / "last").read_bytes() == b"words"


def test_missing_folder_is_retried(interpreter: str, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with (
        open_pty() as line,
        run_toy(interpreter, tmp_path, f"serial:{line.path}", f"store:{folder}") as agent,
    ):
        agent.expect("event 1 failed")
        assert f"store:{folder}: no such folder: create it" in agent.errors()
        folder.mkdir()
        agent.expect("event 1 opened")
        folder.rmdir()
        line.write(b"!store key value")
        agent.expect("event 1 failed")


@pytest.mark.parametrize("key", ["../key", ".key", "k" * 65, "sl/ash"])
def test_bad_key_fails_the_port(interpreter: str, tmp_path: Path, key: str) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    with (
        open_pty() as line,
        run_toy(interpreter, tmp_path, f"serial:{line.path}", f"store:{folder}") as agent,
    ):
        agent.expect_all("event 0 opened", "event 1 opened")
        line.write(b"!store %s value" % key.encode())
        agent.expect("event 1 failed")
        assert "is not a plain file name" in agent.errors()
    assert list(folder.iterdir()) == []


def test_store_operations(interpreter: str, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "left.new").write_bytes(b"of a power cut")
    (folder / ".hidden").write_bytes(b"")

    with (
        open_pty() as line,
        run_toy(interpreter, tmp_path, f"serial:{line.path}", f"store:{folder}") as agent,
    ):
        agent.expect_all("event 0 opened", "event 1 opened")

        def ask(order: str, answer: str) -> None:
            line.write(b"!ask " + order.encode())
            agent.expect(answer)
            if "drained" not in answer:
                agent.expect("event 1 drained")

        ask("list", "answer b'\\x00'")
        ask("append log.1 one", "event 1 drained")
        ask("append log.1 two", "event 1 drained")
        ask("write b whole", "event 1 drained")
        ask("list", "answer b'\\x00b\\x00log.1'")
        ask("get log.1", "answer b'log.1\\x00onetwo'")
        ask("get none", "answer b'none'")
        ask("delete log.1", "event 1 drained")
        ask("delete log.1", "event 1 drained")
        ask("get log.1", "answer b'log.1'")
        line.write(b"!ask get ../x")
        agent.expect("event 1 failed")
    assert sorted(path.name for path in folder.iterdir()) == [".hidden", "b", "left.new"]


def test_store_operation_fails_on_serial_port(interpreter: str, tmp_path: Path) -> None:
    with (
        open_pty() as line,
        open_pty() as other,
        run_toy(interpreter, tmp_path, f"serial:{line.path}", f"serial:{other.path}") as agent,
    ):
        agent.expect_all("event 0 opened", "event 1 opened")
        line.write(b"!ask list")
        agent.expect("event 1 failed")
        assert "is no store (list)" in agent.errors()
