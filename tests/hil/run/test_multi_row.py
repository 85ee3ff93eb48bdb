"""A hall of rows: a cap at a UTC instant with the link down; steps that are staggered."""

import json

import pytest

from hil.commands import hil
from hil.run.multi_row import run_hall, run_row
from hil.shells.lockstep import LockStep
from tests.support.peers import need


def test_rows_act_in_one_tick() -> None:
    record = run_hall(5)
    assert record["acted"] == 5
    assert record["within_one_tick"]
    assert record["same_tick"]
    assert 0 <= record["first_us"] <= record["last_us"] <= 100_000


def test_rows_with_a_stagger_act_one_after_the_other() -> None:
    record = run_hall(4, stagger_ms=500)
    assert record["within_one_tick"]
    assert 1_500_000 <= record["spread_us"] <= 1_600_000


def test_a_row_on_micropython_does_the_same() -> None:
    need("micropython")
    assert run_row(3, 0, LockStep) == run_row(3, 0)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert hil(["hall", "--rows", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 2
    assert hil(["hall", "--rows", "0"]) == 2
