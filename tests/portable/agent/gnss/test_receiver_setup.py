"""Setting a receiver up, judged by what it then sends: five makers, and those that only say yes."""

from agent.agent import RECEIVER
from drivers.errors import DriverError
from drivers.gnss.receiver import Receiver
from drivers.gnss.setup_sequence import Setup, acknowledges
from drivers.gnss.setup_step import steps
from drivers.gnss.setup_vendors import MAKERS, sentence, ubx
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import Rig, config
from tests.portable.support.check import eq, raises
from tests.portable.support.receiver_model import FakeReceiver

HEAP = "512wK"
KINDS = ("RMC", "GGA", "GSA", "GSV", "ZDA")


def work(fake, wished, most_s=600, baud=9600):
    """Set `fake` up over a line at `baud`; return the outcomes as (step, verdict, seen)."""
    receiver = Receiver(0, baud, keep=4)
    setup = Setup(wished, 0, baud)
    now, line_baud = 0, baud
    while not setup.done and now < most_s * SECOND:
        for op, data in setup.outbox():
            if op == "set":
                line_baud = int(data[5:])
            elif line_baud == fake.baud:
                fake.take(data)
        data = fake.epoch()
        if line_baud != fake.baud:
            data = b"\xff\x00\xfe" * 20  # what another speed makes of it
        receiver.receive(data, now)
        now += fake.rate_ms * 1000
        for epoch in receiver.epochs(now):
            setup.epoch(epoch, now)
        if now >= setup.deadline():
            setup.wake(now)
    for op, data in setup.outbox():
        line_baud = int(data[5:]) if op == "set" else line_baud
    return [(o.name, o.verdict, o.seen) for o in setup.outcomes], setup, line_baud


def test_every_makers_receiver_is_told_and_seen_to_do_it():
    for maker in sorted(MAKERS):
        fake = FakeReceiver(maker)
        wished = steps(maker, ("BDS", "GPS"), KINDS, 500, 115200, True, "cold")
        outcomes, setup, baud = work(fake, wished)
        eq(
            [(name, verdict) for name, verdict, _ in outcomes],
            [
                ("constellations", "done"),
                ("sentences", "done"),
                ("rate", "already" if maker == "unicore" else "done"),
                ("baud", "done"),
                ("save", "unproven"),
                ("start", "done"),
            ],
        )
        eq(setup.good(), True)
        eq((fake.systems, sorted(fake.kinds), fake.rate_ms), (["GPS", "BDS"], sorted(KINDS), 500))
        eq((fake.baud, baud, fake.saved), (115200, 115200, 1))
        eq(outcomes[0][2], "BDS GPS")


def test_what_is_so_already_is_not_asked_for():
    fake = FakeReceiver("casic")
    fake.systems = ["GPS", "BDS"]
    outcomes, _, _ = work(fake, steps("casic", ("GPS", "BDS"), (), 1000))
    eq([verdict for _, verdict, _ in outcomes], ["already", "already"])
    eq(fake.said, [])


def test_an_acknowledgement_is_not_believed():
    fake = FakeReceiver("unicore", deaf=("constellations",))
    outcomes, setup, _ = work(fake, steps("unicore", ("BDS",), KINDS))
    eq(
        outcomes,
        [
            ("constellations", "refused", "BDS GPS GLO GAL"),
            ("sentences", "done", "RMC GGA GSA GSV ZDA"),
        ],
    )
    eq((setup.outcomes[0].acknowledged, setup.good()), (True, False))
    eq(len([c for c in fake.said if c.startswith(b"MASK GPS")]), 2)  # it is asked twice


def test_a_speed_that_is_not_taken_is_taken_back():
    fake = FakeReceiver("casic", deaf=("baud",))
    outcomes, _, baud = work(fake, steps("casic", baud=115200, rate_ms=500))
    eq(outcomes, [("rate", "done", "500 ms"), ("baud", "refused", "")])
    eq(baud, 9600)


def test_a_receiver_that_says_nothing_is_silent():
    setup = Setup(steps("casic", ("GPS",)), 0)
    now = 0
    while not setup.done:
        now = setup.deadline()
        setup.wake(now)
    eq([o.verdict for o in setup.outcomes], ["silent"])
    assert now <= 200 * SECOND


def test_starts_are_seen_by_what_they_interrupt():
    for start, verdict in (("hot", "unproven"), ("warm", "done"), ("cold", "done")):
        outcomes, _, _ = work(FakeReceiver("quectel"), steps("quectel", start=start))
        eq([(name, v) for name, v, _ in outcomes], [("start", verdict)])
    outcomes, _, _ = work(FakeReceiver("quectel", deaf=("start",)), steps("quectel", start="cold"))
    eq([v for _, v, _ in outcomes], ["refused"])


def test_wishes_that_cannot_be_are_refused():
    for wish, words in (
        (lambda: steps("acme"), "no maker"),
        (lambda: steps("casic", ("GAL",)), "have no GAL"),
        (lambda: steps("casic", (), ("RMC",)), "RMC and GGA"),
        (lambda: steps("casic", baud=250000), "250000 is none"),
    ):
        assert words in str(raises(DriverError, wish))
    eq(steps("casic"), [])


def test_the_bytes_are_those_of_the_makers_documents():
    eq(sentence("PCAS10,0"), b"$PCAS10,0*1C\r\n")
    eq(MAKERS["casic"].systems(("GPS", "BDS")), [b"$PCAS04,3*1A\r\n"])
    eq(MAKERS["casic"].start("cold"), [b"$PCAS10,2*1E\r\n"])
    eq(MAKERS["casic"].save(), [b"$PCAS00*01\r\n"])
    eq(MAKERS["unicore"].systems(("BDS",))[:2], [b"MASK GPS\r\n", b"UNMASK BDS\r\n"])
    body = MAKERS["quectel"].systems(("GPS", "GAL", "BDS"))[0]
    eq(body[:-5], b"$PQTMCFGCNST,W,1,0,1,1,0,0")
    eq(ubx(0x0A, 0x04, b""), b"\xb5\x62\x0a\x04\x00\x00\x0e\x34")  # UBX-MON-VER, as in every manual


def test_acknowledgements_by_maker():
    for body in (b"command,UNLOG,response: OK", b"PAIR001,062,0", b"PQTMCFGCNST,OK"):
        eq(acknowledges([b"GNRMC,1", body]), True)
    for body in (b"command,X,response: PARSING FAILD", b"PAIR001,062,4", b"PQTMCFGCNST,ERROR,1"):
        eq(acknowledges([body]), False)


class Told(Rig):
    """An agent with the part, and a fake receiver on its port."""

    def __init__(self, fake, **section):
        self.fake = fake
        raw = config()
        raw["receiver_setup"] = dict(section, maker=fake.maker)
        Rig.__init__(self, raw)

    def act(self, port, op, data):
        if port == RECEIVER and op == "write":
            self.fake.take(data)
        else:
            Rig.act(self, port, op, data)

    def hear(self, seconds):
        for _ in range(seconds):
            self.give("receive", RECEIVER, self.fake.epoch())
            self.run(1)


def test_the_agent_sets_its_receiver_up_and_again_when_it_forgot():
    fake = FakeReceiver("casic")
    rig = Told(fake, constellations=["BDS", "GPS"], sentences=list(KINDS), save="yes")
    rig.run(2.05)
    rig.hear(40)
    eq((fake.systems, sorted(fake.kinds), fake.saved), (["GPS", "BDS"], sorted(KINDS), 1))
    eq((rig.codes(), rig.agent.clock.state(rig.now)), ([], "sync"))
    assert '"receiver_setup":{"runs":1,"steps":[{"step":"constellations"' in rig.state.decode()
    fake.factory()
    rig.hear(60)
    eq(len(fake.systems), 4)  # not within ten minutes
    rig.agent.parts[0]._since -= 560 * SECOND
    rig.hear(40)
    eq((fake.systems, rig.agent.parts[0].runs), (["GPS", "BDS"], 2))


def test_what_the_receiver_does_not_do_is_an_alarm():
    rig = Told(FakeReceiver("casic", deaf=("constellations",)), constellations=["BDS"])
    rig.run(2.05)
    rig.hear(140)
    eq(rig.codes(), ["gnss_setup"])
