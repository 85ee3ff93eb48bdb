# SPDX-License-Identifier: Apache-2.0
"""The digests of the shipped scenarios are those of the baseline."""

import pytest

from tests.hil.digests import write as digests


@pytest.mark.soak
def test_digest_and_verdict_of_each_scenario_are_those_of_the_baseline() -> None:
    """If a change is wanted: `make digests REASON='...'`."""
    found = {
        name: (verdict, digest)
        for name, verdict, digest in map(digests.run_scenario, digests.names())
    }
    expected = digests.read_baseline(digests.BASELINE)
    changed = [name for name, (_, digest) in found.items() if expected.get(name) != digest]
    assert not changed
    assert not [name for name, (verdict, _) in found.items() if verdict != "pass"]


@pytest.mark.soak
def test_each_scenario_has_a_digest_and_each_change_a_reason() -> None:
    lines = digests.BASELINE.read_text(encoding="utf-8").splitlines()
    before = digests.read_baseline(digests.BEFORE)
    assert [line.split()[0] for line in lines] == digests.names()
    for line in lines:
        name, digest = line.split()[0], digests.read_baseline(digests.BASELINE)[line.split()[0]]
        assert ("#" in line) == (before.get(name) != digest)
