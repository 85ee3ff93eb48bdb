# SPDX-License-Identifier: Apache-2.0
"""Many rows: a power cap at a UTC time without a network, and staggered actions."""

import json

import pytest

from hil.commands import hil
from hil.run.several.multi_row import run_row, run_rows
from tests.hil.digests.shared_runs import quick_lock_step
from tests.support.programs import require_program


def test_rows_act_in_the_same_tick() -> None:
    record = run_rows(5)
    assert record["acted"] == 5
    assert record["within_one_tick"]
    assert record["same_tick"]
    assert 0 <= record["first_us"] <= record["last_us"] <= 100_000


def test_staggered_rows_act_in_sequence() -> None:
    record = run_rows(4, stagger_ms=500)
    assert record["within_one_tick"]
    assert 1_500_000 <= record["spread_us"] <= 1_600_000


def test_row_on_micropython_is_equal() -> None:
    require_program("micropython")
    assert run_row(3, 0, quick_lock_step) == run_row(3, 0)


def test_multi_row_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert hil(["hall", "--rows", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 2
    assert hil(["hall", "--rows", "0"]) == 2
