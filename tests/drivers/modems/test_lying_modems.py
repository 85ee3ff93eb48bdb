# SPDX-License-Identifier: Apache-2.0
"""Drivers against modems with false numbers, empty datagrams, another band, or a barred radio."""

import pytest

from drivers.modems.regions.permit import Permit
from protocols.modem import ntn, rdss
from protocols.time_units import SECOND
from tests.drivers.modems.modem_rig import ModemRig

DUBAI = (252_048_000, 552_708_000)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("ntn", b'+CRTDCP: 1,0,""'),
        ("ntn", b'+QIURC: "recv",0,0,""'),
        ("rdss", rdss.build_sentence(b"BDTXR,1,2,3,4,A4").strip()),
    ],
)
def test_an_empty_datagram_is_none(kind: str, line: bytes) -> None:
    rig = ModemRig(kind)
    rig.wait_ready()
    rig.line.inject(b"\r\n" + line + b"\r\n")
    rig.run(5)
    assert [event for event in rig.events if event[0] == "received"] == []


@pytest.mark.parametrize("length", [-1, 0, 270, 271, 999_999])
def test_a_false_length_of_a_message_costs_no_more_than_the_longest(length: int) -> None:
    rig = ModemRig("sbd")
    rig.wait_ready()
    receive = rig.driver.receive

    def replace(data: bytes, now: int) -> None:
        receive(data.replace(b", 0, 0, 0, 0\r", b", 1, 3, %d, 0\r" % length), now)

    rig.driver.receive = replace
    rig.send(b"x")
    assert rig.run_until("downlink") == ("downlink", min(max(0, length), 270))


@pytest.mark.parametrize("wait", [b"999999", b"99999999999999", b"9" * 1500])
def test_a_false_waiting_time_of_a_terminal_ends(wait: bytes) -> None:
    rig = ModemRig("rdss")
    rig.wait_ready()
    rig.device.rejected_sends = 1
    receive = rig.driver.receive
    refusal = rdss.build_sentence(b"BDFKI,TXA,N,1,4," + wait)
    rig.driver.receive = lambda data, now: receive(refusal if b"BDFKI" in data else data, now)
    rig.send(b"x")
    rig.run_until("send_failed")
    rig.driver.receive = receive
    rig.line.inject(rdss.build_sentence(b"BDICI,1,2,1,99999,3,N,0"))  # the interval of the card
    rig.run(3_610)
    rig.send(b"x")
    rig.run_until("sent")
    rig.run(3_610)
    rig.send(b"x")


# The band of the uplink.


def first_send(rig: ModemRig, permit: Permit) -> int | None:
    """Send as soon as driver and rule allow it; return the second, None: not within 80 s."""
    for second in range(80):
        rig.run(1)
        for event in rig.events:
            if event[0] == "radio":
                permit.set_radio(rig.world.now, *event[1:])
        rig.events.clear()
        if not permit.reason and rig.driver.send(b"x", 1, rig.world.now):
            rig._process_outbox()
            return second
    return None


@pytest.mark.parametrize("band", [254, 256, 23, 20, 0, 99_999_999, "x", ""])
def test_nothing_is_sent_in_another_band(band: object) -> None:
    rig = ModemRig("ntn")
    rig.device.band_text = f"NB BAND {band}"
    permit = Permit("uae", "ntn_l", "L", DUBAI, 7_200)
    assert first_send(rig, permit) is None
    assert permit.reason.startswith("uae/ntn_l: the modem reports ")
    assert rig.contents() == []


@pytest.mark.parametrize("text", ["GSM 900", "LTE BAND 3", "BAND"])
def test_nothing_is_sent_in_a_network_on_the_ground(text: str) -> None:
    rig = ModemRig("ntn")
    rig.device.band_text = text
    assert first_send(rig, Permit("uae", "ntn_l", "L", DUBAI, 7_200)) is None


def test_the_band_is_known_before_the_service() -> None:
    rig = ModemRig("ntn")
    for _ in range(3):
        kinds = []
        while "service" not in kinds:
            rig.run(1)
            kinds += [event[0] for event in rig.events]
            rig.events.clear()
            assert rig.driver.registered == ("service" in kinds)
        assert kinds.index("radio") < kinds.index("service")
        assert rig.world.now < 600 * SECOND
        rig.driver.set_radio(False, rig.world.now)
        rig._process_outbox()
        rig.run(5)
        rig.events.clear()
        rig.driver.set_radio(True, rig.world.now)
        rig._process_outbox()


def test_the_right_band_is_used_soon() -> None:
    second = first_send(ModemRig("ntn"), Permit("uae", "ntn_l", "L", DUBAI, 7_200))
    assert second is not None
    assert second < 15


@pytest.mark.parametrize("error", [b"ERROR", b"+CME ERROR: 4", b"+CME ERROR: unknown"])
def test_a_modem_that_has_no_word_for_its_band_is_used(error: bytes) -> None:
    """Like a 9602: the rule can be checked for what a modem reports only."""
    rig = ModemRig("ntn")
    rig.device.band_text = None
    rig.device.error_text = error
    permit = Permit("uae", "ntn_l", "L", DUBAI, 7_200)
    assert first_send(rig, permit) is not None


def test_without_an_answer_about_the_band_nothing_is_sent() -> None:
    rig = ModemRig("ntn")
    receive = rig.device.receive

    def silent(data: bytes, now: int) -> object:
        return [] if b"QNWINFO" in data else receive(data, now)

    rig.device.receive = silent
    assert first_send(rig, Permit("uae", "ntn_l", "L", DUBAI, 7_200)) is None
    rig.device.receive = receive
    rig.run_until("service", 60)


def test_a_network_that_is_not_found_yet_is_asked_again() -> None:
    rig = ModemRig("ntn")
    rig.device.band_text = "none"  # +QNWINFO: No Service
    permit = Permit("uae", "ntn_l", "L", DUBAI, 7_200)
    assert first_send(rig, permit) is None
    assert permit.reason == ""
    rig.device.band_text = "NB BAND 255"
    assert first_send(rig, permit) is not None


def test_the_words_about_a_band() -> None:
    text = b'+QNWINFO: "NBIoT","90198","%s",7697'
    assert ntn.parse_band(text % b"NB BAND 255") == (1_626_500, 1_660_500)
    for name in (b"NB BAND 23", b"GSM 900", b"BAND " + b"9" * 4000, b"BAND -1"):
        assert ntn.parse_band(text % name) == (0, 0)
    for line in (b"+QNWINFO: No Service", b"+QNWINFO:", b"+QNWINFO: "):
        assert ntn.parse_band(line) is None


# A radio that is off before the modem is set up.


def test_a_barred_modem_is_not_switched_on_by_its_set_up() -> None:
    rig = ModemRig("ntn")
    rig.driver.event("closed", 0)
    rig.driver.set_radio(False, 0)
    rig.driver.event("opened", 0)
    seen: list[bytes] = []
    receive = rig.device.receive

    def record(data: bytes, now: int) -> object:
        seen.append(data)
        return receive(data, now)

    rig.device.receive = record
    rig.run(60)
    assert rig.driver.ready
    assert b"CFUN=1" not in b"".join(seen)
    rig.device.reset(rig.world.now)
    rig.run(60)
    assert b"CFUN=1" not in b"".join(seen)
    rig.driver.set_radio(True, rig.world.now)
    rig._process_outbox()
    rig.run_until("service", 60)


def test_a_barred_imt_modem_stays_inactive() -> None:
    rig = ModemRig("imt")
    rig.driver.set_radio(False, 0)
    for _ in range(2):
        for _ in range(600):
            rig.run(0.1)
            assert not rig.device.targets.active
        assert rig.driver.ready
        rig.device.reset(rig.world.now)
    rig.run(20)
    rig.driver.set_radio(True, rig.world.now)
    rig._process_outbox()
    rig.run(20)
    rig.send(b"x")
    rig.run_until("sent")
