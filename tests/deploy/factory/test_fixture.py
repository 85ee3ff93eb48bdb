# SPDX-License-Identifier: Apache-2.0
"""The fixture of the factory: boards in turn on one emulator."""

from pathlib import Path
from typing import ClassVar

import pytest

from deploy.errors import FactoryError
from deploy.factory import emulated_board
from deploy.factory.emulated_board import Fixture
from drivers.errors import PortError
from drivers.ports.cpython.emulator_pipe import EmulatorOutput


class NotedPipe:
    """An emulator that notes its requests; a run prints a line."""

    started: ClassVar[list["NotedPipe"]] = []

    def __init__(self, _command: list[str]) -> None:
        self.requests: list[tuple[bytes, int, bytes]] = []
        self.is_broken = self.is_closed = False
        self.started.append(self)

    def request(
        self, kind: bytes, _number: int = 0, value: int = 0, data: bytes = b""
    ) -> list[EmulatorOutput]:
        if self.is_broken:
            raise PortError("the emulator ended; see above")
        self.requests.append((kind, value, data))
        return [EmulatorOutput(b"c", 0, value, b"hello\n")] if kind == b"R" else []

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[NotedPipe]:
    monkeypatch.setattr(emulated_board, "EmulatorPipe", NotedPipe)
    monkeypatch.setattr(NotedPipe, "started", [])
    return NotedPipe.started


def test_boards_in_turn_have_one_emulator(started: list[NotedPipe]) -> None:
    fixture = Fixture()
    for name in ("a.bin", "b.bin"):
        board = fixture.insert(Path(name))
        board.power_on()
        assert board.read_until("hello", 100) == "hello"
        board.close()
    fixture.close()
    (pipe,) = started
    kinds = b"".join(kind for kind, _, _ in pipe.requests)
    assert kinds == b"FN1R0W" * 2
    assert [data for kind, _, data in pipe.requests if kind == b"F"] == [b"a.bin", b"b.bin"]
    seeds = {value for kind, value, _ in pipe.requests if kind == b"N"}
    assert len(seeds) == 2
    assert pipe.is_closed


def test_the_next_board_gets_a_new_emulator_if_one_ended(started: list[NotedPipe]) -> None:
    fixture = Fixture()
    board = fixture.insert(Path("a.bin"))
    board.power_on()
    board.read_until("hello", 100)
    started[0].is_broken = True
    with pytest.raises(FactoryError, match="emulator ended"):
        board.power_off()
    with pytest.raises(FactoryError, match="no board"):
        board.power_on()
    fixture.insert(Path("b.bin")).power_on()
    assert [pipe.is_closed for pipe in started] == [True, False]
    assert fixture.now_ns == 0
