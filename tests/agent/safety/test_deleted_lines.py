# SPDX-License-Identifier: Apache-2.0
"""Deleting any one statement of `agent/safety` turns a test or a hazard scenario red.

`tests.agent.safety.deleted_lines` deletes them. `WITHOUT_EFFECT` has the statements that nothing
can show.
"""

import json
import subprocess
import sys

import pytest

from tests.agent.safety.deleted_lines import statements
from tests.support.repository import ROOT

WITHOUT_EFFECT: dict[str, str] = {}
"""Statements (function: text), and why their deletion changes no reaction."""


def unnoticed(*wanted: str) -> set[str]:
    """Delete the statements (file:line), or all. Return the texts of those not noticed."""
    command = [sys.executable, "-m", "tests.agent.safety.deleted_lines", *wanted]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    result = json.loads(run.stdout.splitlines()[-1])
    assert result["failed"] == [], "tests fail without a change"
    return {text for _, _, text in result["unnoticed"]}


@pytest.mark.soak
def test_a_deleted_statement_is_noticed() -> None:
    assert unnoticed() - set(WITHOUT_EFFECT) == set()


def test_the_statements_without_effect_exist() -> None:
    """A changed statement is tested again."""
    assert set(WITHOUT_EFFECT) <= {text for _, _, text in statements()}


def test_a_deleted_reaction_is_noticed() -> None:
    """One statement in each `make test` shows that the method works."""
    line = next(n for _, n, text in statements() if "limit_all(_NO_FLOW)" in text)
    assert unnoticed(f"protection:{line}") == set()
