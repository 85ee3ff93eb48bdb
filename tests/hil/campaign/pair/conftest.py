# SPDX-License-Identifier: Apache-2.0
"""What tests of a pair with remote changes share."""

import pytest

from hil.bench import operator_messages


@pytest.fixture
def short_health_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the health window of a trial last 15 s."""
    monkeypatch.setattr(operator_messages, "HEALTH_S", 15)
