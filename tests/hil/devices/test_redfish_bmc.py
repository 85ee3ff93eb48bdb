"""Our Redfish client against the emulated service, which reads HTTP with Python's own packages."""

import pytest

from drivers.redfish import ENVIRONMENT, POWER, Redfish, Target
from hil.devices.power.capped_load import CappedLoad
from hil.devices.power.redfish_bmc import RedfishBmc

SECOND = 1_000_000
PATH = "/redfish/v1/Chassis/{}/{}"
LOGIN = ("coldloop", "s3cret")


class Joined:
    """Client and service, turned in virtual time; the connection takes 1 ms each way."""

    def __init__(self, login=None, session=False, **targets):
        self.loads = [CappedLoad("new", 10_000, 1_000), CappedLoad("old", 5_000, 500)]
        self.bmc = RedfishBmc(self.loads, ("old",), login)
        self.client = Redfish(
            "bmc",
            [
                Target(PATH.format("new", "EnvironmentMetrics"), ENVIRONMENT, 2 * SECOND),
                Target(PATH.format("old", "Power"), POWER, 2 * SECOND, **targets),
            ],
            login,
            session,
        )
        self.now = 0
        self.sent = []
        self._due = []
        self._conn = 0
        self._connect()

    def _connect(self):
        self._conn += 1
        self._due = []
        self.bmc.opened(self._conn, self.now)
        self.client.opened(self.now)
        self._carry()

    def _carry(self):
        for data in self.client.out():
            self.sent.append((self.now, data))
            for _, delay, answer in self.bmc.receive(self._conn, data, self.now):
                self._due.append((self.now + delay + 2_000, answer))
        if self.client.hang_up:
            self.client.hang_up = ""
            self._connect()

    def run(self, seconds):
        until = self.now + int(seconds * SECOND)
        while True:
            due = self.client.deadline()
            if self._due and self._due[0][0] <= min(due, until):
                self.now, answer = self._due.pop(0)
                if answer is None:
                    self.client.closed(self.now)
                    self._connect()
                else:
                    self.client.receive(answer, self.now)
            elif due <= until:
                self.now = max(self.now, due)
                self.client.wake(self.now)
            else:
                break
            self._carry()
        self.now = until

    def want(self, index, watts):
        self.client.want(index, watts, self.now)
        self._carry()


@pytest.mark.parametrize("fault", ["", "chunked", "closing", "tags"])
def test_limits_of_both_schemas_are_set_and_seen(fault):
    joined = Joined()
    if fault:
        setattr(joined.bmc, fault, True)
    joined.run(1)
    new, old = joined.client.targets
    assert (new.shown, new.low, new.high, new.watts) == (10_000, 2_500, 10_000, 10_000)
    assert (old.shown, old.high, old.watts) == (5_000, 5_000, 5_000)
    joined.want(0, 4_000)
    joined.want(1, 3_000)
    joined.run(5)
    assert (joined.bmc.set_w, new.in_force, old.in_force) == (
        {"new": 4_000, "old": 3_000},
        True,
        True,
    )
    joined.run(20)
    assert (new.watts, old.watts) == (4_000, 3_000)
    assert len(joined.bmc.patches) == 2


def test_a_limit_is_on_the_wire_at_once():
    joined = Joined()
    joined.run(1)
    joined.want(0, 4_000)
    assert joined.sent[-1] == (joined.now, joined.sent[-1][1])
    assert joined.sent[-1][1].startswith(b"PATCH ")


def test_a_slow_reading_gives_way_to_a_limit():
    joined = Joined()
    joined.run(1)
    joined.bmc.slow_us = 4 * SECOND
    joined.run(9.5)  # a reading is on its way
    began = joined.now
    joined.want(0, 4_000)
    joined.run(2)
    sent = [at for at, data in joined.sent if data.startswith(b"PATCH")]
    assert len(sent) == 1
    assert sent[0] - began <= SECOND


def test_out_of_what_is_allowed_it_takes_what_is_allowed():
    joined = Joined()
    joined.want(0, 1_000)
    joined.run(3)
    target = joined.client.targets[0]
    assert joined.bmc.set_w["new"] == 2_500 == target.shown
    assert target.refused == 0
    assert target.in_force


def test_a_refused_limit_is_told_again_later():
    joined = Joined()
    joined.bmc.refuse = True
    joined.run(1)
    joined.want(0, 4_000)
    joined.run(10)
    assert joined.client.targets[0].refused == 400
    joined.bmc.refuse = False
    joined.run(40)
    assert joined.client.targets[0].refused == 0
    assert joined.client.targets[0].in_force


def test_busy_is_waited_for_as_long_as_it_asks():
    joined = Joined()
    joined.run(1)
    joined.bmc.busy = 3
    joined.want(0, 4_000)
    joined.run(1)
    assert joined.client.trouble == "busy"
    joined.bmc.busy = 0
    joined.run(1)
    assert joined.bmc.patches == []
    joined.run(2)
    assert [watts for _, _, watts in joined.bmc.patches] == [4_000]


def test_limits_lost_in_a_restart_are_set_again():
    joined = Joined()
    joined.want(0, 4_000)
    joined.run(15)
    joined.bmc.reboot(joined.now)
    assert joined.bmc.set_w["new"] == 10_000
    joined.run(15)
    assert joined.bmc.set_w["new"] == 4_000


def test_a_deferred_limit_is_told_once_and_not_called_in_force():
    joined = Joined(deferred=True)
    joined.bmc.deferred = True
    joined.want(1, 3_000)
    joined.run(60)
    assert len(joined.bmc.patches) == 1
    assert not joined.client.targets[1].in_force


@pytest.mark.parametrize("session", [True, False])
def test_login_by_session_and_basic(session):
    joined = Joined(LOGIN, session)
    joined.bmc.token_uses = 3
    joined.bmc.reboot(0)  # which forgets the first token
    joined.want(0, 4_000)
    joined.run(60)
    assert joined.client.targets[0].in_force
    assert joined.client.trouble == ""
    assert (joined.bmc.logins > 2) == session
    assert joined.bmc.denied == (joined.bmc.logins - 1 if session else 0)


def test_a_wrong_password_is_tried_seldom_and_never_shown():
    joined = Joined(LOGIN, True)
    joined.bmc.login = ("coldloop", "other")
    joined.run(1)
    joined.bmc.reboot(joined.now)
    before = joined.bmc.requests
    joined.run(60)
    assert 3 <= joined.bmc.requests - before <= 7
    assert joined.client.trouble == "login refused with 401"
    assert "s3cret" not in joined.client.trouble


def test_silence_and_nonsense_make_the_connection_anew():
    joined = Joined()
    joined.run(1)
    joined.bmc.silent = True
    joined.run(20)
    joined.bmc.silent = False
    joined.want(0, 4_000)
    joined.run(10)
    assert joined.client.targets[0].in_force
    joined.client.receive(b"nonsense" * 1000, joined.now)
    assert joined.client.hang_up == "again"
    joined.client.opened(joined.now)
    joined.client.receive(b"nonsense" * 1000, joined.now)
    assert joined.client.hang_up == "later"


def test_off_and_on():
    joined = Joined(system="/redfish/v1/Systems/old")
    joined.run(1)
    joined.client.switch(1, False, joined.now)
    joined._carry()
    joined.run(30)
    assert joined.client.targets[1].watts == 0
    joined.client.switch(1, True, joined.now)
    joined._carry()
    joined.run(30)
    assert joined.client.targets[1].watts == 5_000


def test_a_limit_that_was_on_its_way_when_the_connection_broke_is_told_again() -> None:
    joined = Joined()
    joined.run(1)
    joined.bmc.silent = True
    joined.want(0, 4_000)
    joined.bmc.silent = False
    joined.client.closed(joined.now)
    joined._connect()
    joined.run(0.1)
    assert joined.bmc.set_w["new"] == 4_000
