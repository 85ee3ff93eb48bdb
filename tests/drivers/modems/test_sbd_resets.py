# SPDX-License-Identifier: Apache-2.0
"""A 9602 that restarts at any byte or time of a session loses no message, without key and log.

A silent modem has the echo switched off in its stored profile and restarts in no time, so that the
driver sees no trace of the restart.
"""

import pytest

from drivers.modems import sbd_state
from hil.devices.satcom.isu_settings import Profile
from tests.drivers.modems.modem_rig import ModemRig

_CONTENT = b"alarm"
_BYTES = 60  # more than the commands of one session


def _rig(silent: bool, counts_empty: bool) -> ModemRig:
    rig = ModemRig("sbd")
    rig.device.counts_empty = counts_empty
    if silent:
        rig.device.settings.profiles[0] = Profile(echo=False, flow=0)
        rig.device.boot_us = 0
    rig.wait_ready()
    rig.send(b"first")  # the driver knows the number of the last session
    rig.run_until("sent")
    rig.run(1)
    return rig


def _send_until_accepted(rig: ModemRig) -> None:
    for _ in range(12):
        if rig.driver.ready and not rig.driver.busy:
            rig.send(_CONTENT)
            for _ in range(200):
                rig.run(1)
                kinds = [event[0] for event in rig.events]
                if "sent" in kinds:
                    return
                if "send_failed" in kinds:
                    break
            rig.events = []
        rig.run(10)
    raise AssertionError("never sent")


@pytest.mark.parametrize("counts_empty", [True, False])
@pytest.mark.parametrize("silent", [True, False])
def test_restart_at_every_byte_loses_nothing(silent: bool, counts_empty: bool) -> None:
    restarted = 0
    for count in range(1, _BYTES):
        rig = _rig(silent, counts_empty)
        rig.device.reset_after = count
        _send_until_accepted(rig)
        restarted += rig.device.resets
        assert _CONTENT in rig.contents(), count
    assert restarted > 40


@pytest.mark.parametrize("silent", [True, False])
def test_restart_at_every_time_loses_nothing(silent: bool) -> None:
    for step in range(80):
        rig = _rig(silent, counts_empty=True)
        at = rig.world.now + step * 250_000
        rig.world.schedule(at, rig.device.reset, at)
        _send_until_accepted(rig)
        assert _CONTENT in rig.contents(), step


def test_silent_restart_between_transfer_and_session_is_not_accepted() -> None:
    rig = _rig(silent=True, counts_empty=True)
    rig.device.reset_after = len(b"AT+SBDWB=5\r") + len(_CONTENT) + 2
    rig.send(_CONTENT)
    assert rig.run_until("send_failed")[2] == "retry"
    assert rig.contents() == [b"first"]
    assert rig.driver.unconfirmed == 1
    assert rig.driver.state == sbd_state.IDLE


def test_old_number_is_not_accepted() -> None:
    rig = _rig(silent=True, counts_empty=True)
    rig.device.buffers.uplink_number -= 1
    rig.send(_CONTENT)
    assert rig.run_until("send_failed")[3] == "the number of the session is not new"
    rig.send(_CONTENT)
    assert rig.run_until("sent")
    assert rig.contents() == [b"first", _CONTENT, _CONTENT]


def test_table_leads_from_each_state_to_the_end() -> None:
    states = {row[0] for row in sbd_state.TABLE}
    assert states == set(range(len(sbd_state.STATE_NAMES))) - {sbd_state.CONFIRM}
    for state in range(len(sbd_state.STATE_NAMES)):
        assert sbd_state.next_state(state, sbd_state.END) == sbd_state.IDLE
        events = [row[1] for row in sbd_state.TABLE if row[0] == state]
        assert len(events) == len(set(events))
