"""A clock that is not trusted neither locks the door to the broker nor leaves it open."""

from agent.agent import BROKER
from agent.config.load import load
from agent.core.errors import ConfigError
from agent.telemetry.tls_link import TlsLink
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import Rig, config, profiles
from tests.portable.support.check import eq, raises

ADDRESS = "tls:broker:8883?ca=/etc/ca.pem"
UTC_S = 1_795_500_000


class FakeClock:
    trust = "free"

    def utc(self, now):
        return None if self.trust == "free" else UTC_S * SECOND + now

    def state(self, now):
        return self.trust


def asked(link):
    return [(op, data.decode()) for _, op, data in link.outbox()]


def test_dates_are_judged_by_our_utc_or_not_at_all():
    clock = FakeClock()
    link = TlsLink(1, "broker", ADDRESS, clock)
    link.start()
    eq(asked(link), [("open", ADDRESS + "&utc=0")])
    clock.trust = "untrusted"
    link.event("failed", SECOND)
    link.wake(2 * SECOND)
    eq(asked(link), [("open", ADDRESS + "&utc=0")])
    clock.trust = "sync"
    link.event("failed", 3 * SECOND)
    link.wake(5 * SECOND)
    eq(asked(link), [("open", ADDRESS + "&utc=%d" % (UTC_S + 5))])
    link.event("opened", 6 * SECOND)
    link.wake(100 * SECOND)
    eq(asked(link), [])


def test_what_stood_before_is_opened_anew_once_time_is_known():
    clock = FakeClock()
    link = TlsLink(1, "broker", "tls:broker:8883", clock)
    link.start()
    link.event("opened", SECOND)
    asked(link)
    for at in (11, 21, 31):
        link.wake(at * SECOND)
        eq((asked(link), link.up), ([], True))
    clock.trust = "holdover"
    link.wake(41 * SECOND)
    eq((asked(link), link.up), ([("close", "")], False))
    link.wake(link.due)
    eq(asked(link), [("open", "tls:broker:8883?utc=%d" % (UTC_S + link._now // SECOND))])
    link.event("opened", 50 * SECOND)
    link.wake(100 * SECOND)
    eq(asked(link), [])


def test_the_time_is_not_for_the_configuration_to_say():
    raw = config()
    raw["broker"]["address"] = ADDRESS + "&utc=1"
    assert "utc is for the agent" in str(raises(ConfigError, load, raw, profiles()))


def test_the_agent_speaks_tls_before_it_knows_the_time_and_again_after():
    raw = config()
    raw["broker"]["address"] = ADDRESS
    opens = []

    class TlsRig(Rig):
        def act(self, port, op, data):
            if port == BROKER and op == "open":
                opens.append(data.decode())
            Rig.act(self, port, op, data)

    rig = TlsRig(raw)
    rig.run(15)
    eq((rig.agent.uplink.connected, opens), (True, [ADDRESS + "&utc=0"]))
    clock = FakeClock()
    clock.trust = "sync"
    rig.agent.uplink.link._clock = clock
    rig.run(20)
    eq((rig.agent.uplink.connected, len(opens)), (True, 2))
    assert opens[1].split("utc=")[1] > "1795500000", opens
    rig.run(60)
    eq(len(opens), 2)
