# SPDX-License-Identifier: Apache-2.0
"""A unit that is moved over a border transmits nothing, says so, and begins again at home."""

from typing import Any

import pytest

from hil.bench import optional_sections, testbed_satcom
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse

_SCENARIO = """
name = "moved"
title = "The position moves over the border for two minutes; a drive trips meanwhile"
seconds = 330
[row]
parts = "modem, modem_store"
modem_live_s = 0
receiver_dialect = "ublox"
[[event]]
at_s = 60
for_s = 120
do = "receiver_jump"
value = 200
[[event]]
at_s = 120
do = "pump_trip"
value = 1
"""


def use_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the units of the bench stand in the region `uae`."""
    original = testbed_satcom.modem_section

    def in_uae(settings: Any) -> dict[str, Any]:
        return {**original(settings), "region": "uae", "licence": "test", "position_s": 3_600}

    monkeypatch.setitem(optional_sections.SECTION_WRITERS, "modem", in_uae)


@pytest.mark.parametrize("kind", ["sbd", "imt"])
def test_a_unit_that_was_moved_while_it_was_off_transmits_nothing(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its configured position is inside the region, and an alarm waits from the start."""
    use_region(monkeypatch)
    text = _SCENARIO.replace('parts = "modem', f'modem = "{kind}"\nparts = "modem')
    text = text.replace("at_s = 60\nfor_s = 120", "at_s = 0\nfor_s = 120")
    text = text.replace("at_s = 120\ndo", "at_s = 1\ndo").replace("seconds = 330", "seconds = 240")
    run = VirtualRun(parse(text, "moved"), 1)
    try:
        run.run()
        satcom = run.testbed.satcom
        assert satcom is not None
        times = [message.at_us / 1e6 for message in satcom.gateway.messages]
        assert [at for at in times if at < 125] == []
        assert [at for at in times if at > 125]
    finally:
        run.dut.close()


@pytest.mark.parametrize("kind", ["sbd", "imt"])
def test_moved_unit_stops_and_says_so(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_region(monkeypatch)
    text = _SCENARIO.replace('parts = "modem', f'modem = "{kind}"\nparts = "modem')
    run = VirtualRun(parse(text, "moved"), 1)
    try:
        run.run()
        satcom = run.testbed.satcom
        assert satcom is not None
        times = [message.at_us / 1e6 for message in satcom.gateway.messages]
        assert [at for at in times if 90 < at < 185] == []  # a session takes 15 s
        assert [at for at in times if at > 185]  # the alarm of the drive
        agent: Any = run.dut
        changes = [change for change in agent.agent.alarms.history if "radio_rule" in str(change)]
        assert len(changes) == 2, changes
    finally:
        run.dut.close()
