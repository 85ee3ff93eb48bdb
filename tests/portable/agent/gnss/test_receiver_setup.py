# SPDX-License-Identifier: Apache-2.0
"""Receiver set-up, verified by the sentences: five vendors, and receivers that only acknowledge."""

from agent.port_numbers import RECEIVER
from drivers.errors import DriverError
from drivers.gnss.receiver import ReceiverDriver
from drivers.gnss.setup_sequence import SetupSequence, is_acknowledged
from drivers.gnss.setup_step import build_steps
from drivers.gnss.setup_vendors import VENDOR_COMMANDS, build_sentence, build_ubx
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import AgentRig, config
from tests.portable.support.check import eq, raises
from tests.portable.support.receiver_model import ReceiverModel

KINDS = ("RMC", "GGA", "GSA", "GSV", "ZDA")


def run_setup(fake, setup_steps, limit_s=600, baud=9600):
    """Set `fake` up over a line at `baud`; return the outcomes as (step, outcome, observed)."""
    receiver = ReceiverDriver(0, baud, max_epochs=4)
    setup = SetupSequence(setup_steps, 0, baud)
    now, line_baud = 0, baud
    while not setup.done and now < limit_s * SECOND:
        for op, data in setup.outbox():
            if op == "set":
                line_baud = int(data[5:])
            elif line_baud == fake.baud:
                fake.receive(data)
        data = fake.next_epoch()
        if line_baud != fake.baud:
            data = b"\xff\x00\xfe" * 20  # bytes at the wrong baud rate
        receiver.receive(data, now)
        now += fake.rate_ms * 1000
        for epoch in receiver.take_epochs(now):
            setup.take_epoch(epoch, now)
        if now >= setup.deadline():
            setup.wake(now)
    for op, data in setup.outbox():
        line_baud = int(data[5:]) if op == "set" else line_baud
    return [(o.name, o.outcome, o.observed) for o in setup.results], setup, line_baud


def test_every_vendor_is_set_up_and_verified():
    for maker in ("casic", "quectel", "ublox", "ublox8", "unicore"):  # the others: fewer commands
        fake = ReceiverModel(maker)
        setup_steps = build_steps(maker, ("BDS", "GPS"), KINDS, 500, 115200, True, "cold")
        outcomes, setup, baud = run_setup(fake, setup_steps)
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
        eq(setup.succeeded(), True)
        eq((fake.systems, sorted(fake.kinds), fake.rate_ms), (["GPS", "BDS"], sorted(KINDS), 500))
        eq((fake.baud, baud, fake.saved), (115200, 115200, 1))
        eq(outcomes[0][2], "BDS GPS")


def test_existing_setting_is_not_sent():
    fake = ReceiverModel("casic")
    fake.systems = ["GPS", "BDS"]
    outcomes, _, _ = run_setup(fake, build_steps("casic", ("GPS", "BDS"), (), 1000))
    eq([verdict for _, verdict, _ in outcomes], ["already", "already"])
    eq(fake.commands, [])


def test_acknowledgement_alone_is_not_accepted():
    fake = ReceiverModel("unicore", ignored=("constellations",))
    outcomes, setup, _ = run_setup(fake, build_steps("unicore", ("BDS",), KINDS))
    eq(
        outcomes,
        [
            ("constellations", "refused", "BDS GPS GLO GAL"),
            ("sentences", "done", "RMC GGA GSA GSV ZDA"),
        ],
    )
    eq((setup.results[0].acknowledged, setup.succeeded()), (True, False))
    eq(len([c for c in fake.commands if c.startswith(b"MASK GPS")]), 2)  # it is sent twice


def test_refused_baud_rate_is_restored():
    fake = ReceiverModel("casic", ignored=("baud",))
    outcomes, _, baud = run_setup(fake, build_steps("casic", baud=115200, rate_ms=500))
    eq(outcomes, [("rate", "done", "500 ms"), ("baud", "refused", "")])
    eq(baud, 9600)


def test_silent_receiver_is_reported():
    setup = SetupSequence(build_steps("casic", ("GPS",)), 0)
    now = 0
    while not setup.done:
        now = setup.deadline()
        setup.wake(now)
    eq([o.outcome for o in setup.results], ["silent"])
    assert now <= 200 * SECOND


def test_restart_is_verified_by_its_interruption():
    for start, verdict in (("hot", "unproven"), ("warm", "done"), ("cold", "done")):
        outcomes, _, _ = run_setup(ReceiverModel("quectel"), build_steps("quectel", start=start))
        eq([(name, v) for name, v, _ in outcomes], [("start", verdict)])
    outcomes, _, _ = run_setup(
        ReceiverModel("quectel", ignored=("start",)), build_steps("quectel", start="cold")
    )
    eq([v for _, v, _ in outcomes], ["refused"])


def test_impossible_settings_are_refused():
    for request, message in (
        (lambda: build_steps("acme"), "no maker"),
        (lambda: build_steps("casic", ("GAL",)), "have no GAL"),
        (lambda: build_steps("casic", (), ("RMC",)), "RMC and GGA"),
        (lambda: build_steps("casic", baud=250000), "250000 is none"),
    ):
        assert message in str(raises(DriverError, request))
    eq(build_steps("casic"), [])


def test_bytes_match_vendor_documents():
    eq(build_sentence("PCAS10,0"), b"$PCAS10,0*1C\r\n")
    eq(VENDOR_COMMANDS["casic"].systems(("GPS", "BDS")), [b"$PCAS04,3*1A\r\n"])
    eq(VENDOR_COMMANDS["casic"].start("cold"), [b"$PCAS10,2*1E\r\n"])
    eq(VENDOR_COMMANDS["casic"].save(), [b"$PCAS00*01\r\n"])
    eq(VENDOR_COMMANDS["unicore"].systems(("BDS",))[:2], [b"MASK GPS\r\n", b"UNMASK BDS\r\n"])
    body = VENDOR_COMMANDS["quectel"].systems(("GPS", "GAL", "BDS"))[0]
    eq(body[:-5], b"$PQTMCFGCNST,W,1,0,1,1,0,0")
    eq(
        build_ubx(0x0A, 0x04, b""), b"\xb5\x62\x0a\x04\x00\x00\x0e\x34"
    )  # UBX-MON-VER, as in each manual


def test_acknowledgements_by_vendor():
    for body in (b"command,UNLOG,response: OK", b"PAIR001,062,0", b"PQTMCFGCNST,OK"):
        eq(is_acknowledged([b"GNRMC,1", body]), True)
    for body in (b"command,X,response: PARSING FAILD", b"PAIR001,062,4", b"PQTMCFGCNST,ERROR,1"):
        eq(is_acknowledged([body]), False)


class SetupRig(AgentRig):
    """An agent with the component, and a fake receiver on its port."""

    def __init__(self, fake, **section):
        self.fake = fake
        raw = config()
        raw["receiver_setup"] = dict(section, maker=fake.vendor)
        AgentRig.__init__(self, raw)

    def perform(self, port, op, data):
        if port == RECEIVER and op == "write":
            self.fake.receive(data)
        else:
            AgentRig.perform(self, port, op, data)

    def run_epochs(self, seconds):
        for _ in range(seconds):
            self.deliver("receive", RECEIVER, self.fake.next_epoch())
            self.run(1)


def test_agent_repeats_lost_receiver_setup():
    fake = ReceiverModel("casic")
    rig = SetupRig(fake, constellations=["BDS", "GPS"], sentences=list(KINDS), save="yes")
    rig.run(2.05)
    rig.run_epochs(40)
    eq((fake.systems, sorted(fake.kinds), fake.saved), (["GPS", "BDS"], sorted(KINDS), 1))
    eq((rig.alarm_codes(), rig.agent.clock.state(rig.now)), ([], "sync"))
    assert '"receiver_setup":{"runs":1,"steps":[{"step":"constellations"' in rig.state.decode()
    fake.reset_to_factory()
    rig.run_epochs(60)
    eq(len(fake.systems), 4)  # not within ten minutes
    rig.agent.components[0]._started_at -= 560 * SECOND
    rig.run_epochs(40)
    eq((fake.systems, rig.agent.components[0].runs), (["GPS", "BDS"], 2))


def test_failed_setup_step_is_an_alarm():
    rig = SetupRig(ReceiverModel("casic", ignored=("constellations",)), constellations=["BDS"])
    rig.run(2.05)
    rig.run_epochs(140)
    eq(rig.alarm_codes(), ["gnss_setup"])
