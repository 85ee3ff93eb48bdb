# SPDX-License-Identifier: Apache-2.0
"""An untrusted clock neither blocks the connection to the broker nor disables the certificate
check.
"""

from agent.config.load import load
from agent.core.errors import ConfigError
from agent.port_numbers import BROKER
from agent.telemetry.tls_link import TlsLink
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import AgentRig, config, profiles
from tests.portable.support.check import eq, raises

ADDRESS = "tls:broker:8883?ca=/etc/ca.pem"
UTC_S = 1_795_500_000


class FakeClock:
    clock_state = "free"

    def utc(self, now):
        return None if self.clock_state == "free" else UTC_S * SECOND + now

    def state(self, now):
        return self.clock_state


def requests(link):
    return [(op, data.decode()) for _, op, data in link.outbox()]


def test_certificate_dates_use_utc_if_trusted():
    clock = FakeClock()
    link = TlsLink(1, "broker", ADDRESS, clock)
    link.request_open()
    eq(requests(link), [("open", ADDRESS + "&utc=0")])
    clock.clock_state = "untrusted"
    link.event("failed", SECOND)
    link.wake(2 * SECOND)
    eq(requests(link), [("open", ADDRESS + "&utc=0")])
    clock.clock_state = "sync"
    link.event("failed", 3 * SECOND)
    link.wake(5 * SECOND)
    eq(requests(link), [("open", ADDRESS + "&utc=%d" % (UTC_S + 5))])
    link.event("opened", 6 * SECOND)
    link.wake(100 * SECOND)
    eq(requests(link), [])


def test_connection_is_reopened_once_utc_is_trusted():
    clock = FakeClock()
    link = TlsLink(1, "broker", "tls:broker:8883", clock)
    link.request_open()
    link.event("opened", SECOND)
    requests(link)
    for at in (11, 21, 31):
        link.wake(at * SECOND)
        eq((requests(link), link.is_open), ([], True))
    clock.clock_state = "holdover"
    link.wake(41 * SECOND)
    eq((requests(link), link.is_open), ([("close", "")], False))
    link.wake(link.wake_at)
    eq(requests(link), [("open", "tls:broker:8883?utc=%d" % (UTC_S + link._now // SECOND))])
    link.event("opened", 50 * SECOND)
    link.wake(100 * SECOND)
    eq(requests(link), [])


def test_utc_option_is_refused_in_configuration():
    raw = config()
    raw["broker"]["address"] = ADDRESS + "&utc=1"
    assert "option utc is not allowed" in str(raises(ConfigError, load, raw, profiles()))


def test_agent_connects_before_and_after_utc_is_known():
    raw = config()
    raw["broker"]["address"] = ADDRESS
    opens = []

    class TlsRig(AgentRig):
        def perform(self, port, op, data):
            if port == BROKER and op == "open":
                opens.append(data.decode())
            AgentRig.perform(self, port, op, data)

    rig = TlsRig(raw)
    rig.run(15)
    eq((rig.agent.uplink.connected, opens), (True, [ADDRESS + "&utc=0"]))
    clock = FakeClock()
    clock.clock_state = "sync"
    rig.agent.uplink.link._clock = clock
    rig.run(20)
    eq((rig.agent.uplink.connected, len(opens)), (True, 2))
    assert opens[1].split("utc=")[1] > "1795500000", opens
    rig.run(60)
    eq(len(opens), 2)
