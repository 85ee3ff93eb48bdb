# SPDX-License-Identifier: Apache-2.0
"""The agent's Redfish client and the emulated service, which uses Python's own HTTP packages."""

import pytest

from drivers.redfish.client import RedfishClient
from drivers.redfish.target import ENVIRONMENT, POWER, RedfishTarget
from hil.devices.power.capped_load import CappedLoad
from hil.devices.power.redfish_bmc import RedfishBmc

SECOND = 1_000_000
PATH = "/redfish/v1/Chassis/{}/{}"
LOGIN = ("coldloop", "s3cret")


class RedfishBench:
    """Client and service in virtual time; the connection takes 1 ms each way."""

    def __init__(self, login=None, session=False, **targets):
        self.loads = [CappedLoad("new", 10_000, 1_000), CappedLoad("old", 5_000, 500)]
        self.bmc = RedfishBmc(self.loads, ("old",), login)
        self.client = RedfishClient(
            "bmc",
            [
                RedfishTarget(PATH.format("new", "EnvironmentMetrics"), ENVIRONMENT, 2 * SECOND),
                RedfishTarget(PATH.format("old", "Power"), POWER, 2 * SECOND, **targets),
            ],
            login,
            session,
        )
        self.now = 0
        self.sent = []
        self._pending = []
        self._conn = 0
        self._connect()

    def _connect(self):
        self._conn += 1
        self._pending = []
        self.bmc.opened(self._conn, self.now)
        self.client.connection_opened(self.now)
        self._transfer()

    def _transfer(self):
        for data in self.client.take_output():
            self.sent.append((self.now, data))
            for _, delay, answer in self.bmc.receive(self._conn, data, self.now):
                self._pending.append((self.now + delay + 2_000, answer))
        if self.client.close_requested:
            self.client.close_requested = ""
            self._connect()

    def run(self, seconds):
        until = self.now + int(seconds * SECOND)
        while True:
            due = self.client.deadline()
            if self._pending and self._pending[0][0] <= min(due, until):
                self.now, answer = self._pending.pop(0)
                if answer is None:
                    self.client.connection_closed(self.now)
                    self._connect()
                else:
                    self.client.receive(answer, self.now)
            elif due <= until:
                self.now = max(self.now, due)
                self.client.wake(self.now)
            else:
                break
            self._transfer()
        self.now = until

    def set_limit(self, index, watts):
        self.client.set_limit(index, watts, self.now)
        self._transfer()


@pytest.mark.parametrize("fault", ["", "chunked", "closing", "tags"])
def test_limits_of_both_schemas_are_set_and_verified(fault):
    bench = RedfishBench()
    if fault:
        setattr(bench.bmc, fault, True)
    bench.run(1)
    new, old = bench.client.targets
    assert (new.reported_w, new.min_w, new.max_w, new.power_w) == (10_000, 2_500, 10_000, 10_000)
    assert (old.reported_w, old.max_w, old.power_w) == (5_000, 5_000, 5_000)
    bench.set_limit(0, 4_000)
    bench.set_limit(1, 3_000)
    bench.run(5)
    assert (bench.bmc.limits_w, new.is_in_force, old.is_in_force) == (
        {"new": 4_000, "old": 3_000},
        True,
        True,
    )
    bench.run(20)
    assert (new.power_w, old.power_w) == (4_000, 3_000)
    assert len(bench.bmc.patches) == 2


def test_false_power_and_temperature_are_shown_and_end():
    bench = RedfishBench()
    bench.bmc.case_c["new"] = lambda: 62.0
    new, old = bench.client.targets
    bench.run(20)
    for scale, case_c, watts, shown_c in (
        (0.1, 110.0, (1_000, 500), 110),
        (1.0, None, (10_000, 5_000), 62),
    ):
        bench.bmc.inject("power_scale", scale)
        bench.bmc.inject("shown_case_c", case_c)
        bench.run(20)
        assert ((new.power_w, old.power_w), new.case_c) == (watts, shown_c)


def test_limit_is_sent_immediately():
    bench = RedfishBench()
    bench.run(1)
    bench.set_limit(0, 4_000)
    assert bench.sent[-1] == (bench.now, bench.sent[-1][1])
    assert bench.sent[-1][1].startswith(b"PATCH ")


def test_limit_interrupts_slow_reading():
    bench = RedfishBench()
    bench.run(1)
    bench.bmc.response_us = 4 * SECOND
    bench.run(9.5)  # a reading is in transit
    began = bench.now
    bench.set_limit(0, 4_000)
    bench.run(2)
    sent = [at for at, data in bench.sent if data.startswith(b"PATCH")]
    assert len(sent) == 1
    assert sent[0] - began <= SECOND


def test_limit_is_clamped_to_allowed_range():
    bench = RedfishBench()
    bench.set_limit(0, 1_000)
    bench.run(3)
    target = bench.client.targets[0]
    assert bench.bmc.limits_w["new"] == 2_500 == target.reported_w
    assert target.rejected_status == 0
    assert target.is_in_force


def test_rejected_limit_is_retried_later():
    bench = RedfishBench()
    bench.bmc.rejects_limits = True
    bench.run(1)
    bench.set_limit(0, 4_000)
    bench.run(10)
    assert bench.client.targets[0].rejected_status == 400
    bench.bmc.rejects_limits = False
    bench.run(40)
    assert bench.client.targets[0].rejected_status == 0
    assert bench.client.targets[0].is_in_force


def test_retry_after_is_respected():
    bench = RedfishBench()
    bench.run(1)
    bench.bmc.retry_after_s = 3
    bench.set_limit(0, 4_000)
    bench.run(1)
    assert bench.client.fault == "busy"
    bench.bmc.retry_after_s = 0
    bench.run(1)
    assert bench.bmc.patches == []
    bench.run(2)
    assert [watts for _, _, watts in bench.bmc.patches] == [4_000]


def test_limits_are_restored_after_restart():
    bench = RedfishBench()
    bench.set_limit(0, 4_000)
    bench.run(15)
    bench.bmc.reboot(bench.now)
    assert bench.bmc.limits_w["new"] == 10_000
    bench.run(15)
    assert bench.bmc.limits_w["new"] == 4_000


def test_deferred_limit_is_sent_once_and_not_in_force():
    bench = RedfishBench(deferred=True)
    bench.bmc.limits_deferred = True
    bench.set_limit(1, 3_000)
    bench.run(60)
    assert len(bench.bmc.patches) == 1
    assert not bench.client.targets[1].is_in_force


@pytest.mark.parametrize("session", [True, False])
def test_login_by_session_and_basic(session):
    bench = RedfishBench(LOGIN, session)
    bench.bmc.token_uses = 3
    bench.bmc.reboot(0)  # a restart invalidates the first token
    bench.set_limit(0, 4_000)
    bench.run(60)
    assert bench.client.targets[0].is_in_force
    assert bench.client.fault == ""
    assert (bench.bmc.logins > 2) == session
    assert bench.bmc.unauthorized == (bench.bmc.logins - 1 if session else 0)


def test_wrong_password_is_retried_rarely_and_not_shown():
    bench = RedfishBench(LOGIN, True)
    bench.bmc.login = ("coldloop", "other")
    bench.run(1)
    bench.bmc.reboot(bench.now)
    before = bench.bmc.requests
    bench.run(60)
    assert 3 <= bench.bmc.requests - before <= 7
    assert bench.client.fault == "login refused with 401"
    assert "s3cret" not in bench.client.fault


def test_timeout_and_invalid_data_reconnect():
    bench = RedfishBench()
    bench.run(1)
    bench.bmc.silent = True
    bench.run(20)
    bench.bmc.silent = False
    bench.set_limit(0, 4_000)
    bench.run(10)
    assert bench.client.targets[0].is_in_force
    bench.client.receive(b"nonsense" * 1000, bench.now)
    assert bench.client.close_requested == "again"
    bench.client.connection_opened(bench.now)
    bench.client.receive(b"nonsense" * 1000, bench.now)
    assert bench.client.close_requested == "later"


def test_power_off_and_on():
    bench = RedfishBench(system="/redfish/v1/Systems/old")
    bench.run(1)
    bench.client.set_power(1, False, bench.now)
    bench._transfer()
    bench.run(30)
    assert bench.client.targets[1].power_w == 0
    bench.client.set_power(1, True, bench.now)
    bench._transfer()
    bench.run(30)
    assert bench.client.targets[1].power_w == 5_000


def test_a_target_that_was_off_before_a_restart_is_switched_on() -> None:
    bench = RedfishBench(system="/redfish/v1/Systems/old")
    bench.run(1)
    bench.client.set_power(1, True, bench.now)
    bench._transfer()
    assert bench.bmc.resets == []  # a new client takes it as on
    bench.client.note_off(1)
    bench._transfer()
    assert bench.bmc.resets == []
    bench.client.set_power(1, True, bench.now)
    bench._transfer()
    bench.run(5)
    assert [is_on for _, _, is_on in bench.bmc.resets] == [True]


def test_limit_in_transit_is_resent_after_reconnect() -> None:
    bench = RedfishBench()
    bench.run(1)
    bench.bmc.silent = True
    bench.set_limit(0, 4_000)
    bench.bmc.silent = False
    bench.client.connection_closed(bench.now)
    bench._connect()
    bench.run(0.1)
    assert bench.bmc.limits_w["new"] == 4_000
