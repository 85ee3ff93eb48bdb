# SPDX-License-Identifier: Apache-2.0
"""The agent with a modem that delivers empty or foreign datagrams, or stands in another region."""

from typing import Any

import pytest

from hil.bench import optional_sections, testbed_satcom
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse

_SCENARIO = """
name = "modem"
title = "A drive trips; the modem has a fault"
seconds = 150
[row]
modem = "%s"
parts = "modem, modem_store, log"
modem_live_s = 30
modem_day_bytes = 50000
modem_acks = %s
[[event]]
at_s = 90
do = "pump_trip"
value = 1
"""


def make_run(kind: str, acks: bool = True) -> VirtualRun:
    return VirtualRun(parse(_SCENARIO % (kind, str(acks).lower()), "modem"), 1)


@pytest.mark.parametrize("acks", [True, False])
@pytest.mark.parametrize("kind", ["sbd", "imt", "ntn", "rdss"])
def test_strange_datagrams_harm_nothing(kind: str, acks: bool) -> None:
    run = make_run(kind, acks)
    try:
        satcom: Any = run.testbed.satcom
        serial = satcom.device.serial
        strange = [b"", b"\0", b"\x40", b"\x50", b"\x50\0\0\0", b"\xa1", b"\xff" * 200, bytes(9)]
        deliver = satcom.gateway.run_session

        def run_session(*arguments: Any) -> Any:
            if strange:
                satcom.gateway.queue_downlink(serial, strange.pop(0))
            return deliver(*arguments)

        satcom.gateway.run_session = run_session
        run.run()
        agent: Any = run.dut
        assert agent.agent.guard.containment is None
        assert not [change for change in agent.agent.alarms.history if "port_fault" in str(change)]
        assert satcom.gateway.messages
    finally:
        run.dut.close()


@pytest.mark.parametrize("band", ["NB BAND 256", "NB BAND 23", "GSM 900"])
def test_a_modem_in_another_band_sends_nothing(band: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = in_region("uae", monkeypatch)
    try:
        satcom: Any = run.testbed.satcom
        satcom.device.band_text = band
        run.run()
        agent: Any = run.dut
        assert satcom.gateway.messages == []
        assert [change for change in agent.agent.alarms.history if "radio_rule" in str(change)]
    finally:
        run.dut.close()


def test_a_unit_that_starts_in_another_region_never_switches_the_radio_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = in_region("qatar", monkeypatch)  # the bench is in Dubai
    try:
        satcom: Any = run.testbed.satcom
        received = []
        receive = satcom.device.receive

        def record(data: bytes, now: int) -> Any:
            received.append(data)
            return receive(data, now)

        satcom.device.receive = record
        run.run()
        assert b"AT+CEREG=2" in b"".join(received)
        assert b"AT+CFUN=1" not in b"".join(received)
    finally:
        run.dut.close()


def in_region(region: str, monkeypatch: pytest.MonkeyPatch) -> VirtualRun:
    original = testbed_satcom.modem_section

    def section(settings: Any) -> dict[str, Any]:
        return {**original(settings), "region": region, "licence": "test", "system": "ntn_l"}

    monkeypatch.setitem(optional_sections.SECTION_WRITERS, "modem", section)
    return make_run("ntn")
