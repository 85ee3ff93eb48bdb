# SPDX-License-Identifier: Apache-2.0
"""Texts of refusals, keys of a configuration, a restart that waits for its records, travel of the
outputs.
"""

import sys

from agent.config.load import load
from agent.core.errors import ConfigError
from agent.remote.capture import PortCapture
from agent.remote.command_table import CommandTable
from agent.remote.message.reject import Rejection
from agent.remote.storage.config_slots import ConfigSlots, load_slots
from agent.remote.update.output_oscillation import OutputOscillation
from agent.remote.update.software_update import SoftwareUpdate
from protocols.signed_message import COMMAND
from protocols.signing.ed25519 import Verification
from protocols.time_units import NEVER, SECOND
from tests.portable.agent.remote.message.test_verifier import command, refusal, unsigned
from tests.portable.agent.remote.test_signed_reports import ReportRig, keyed_store
from tests.portable.agent.remote.test_software_update import make_fetched_rig, start
from tests.portable.support.agent_rig import profiles
from tests.portable.support.check import eq, near, raises
from tests.portable.support.remote_rig import (
    COUNTER,
    LIMITER,
    OPERATOR,
    SETPOINT,
    make_command,
    make_patch,
    reject_reason,
    remote_config,
    start_rig,
)


class Values:
    """A loop with one actuator, as `OutputOscillation` reads it."""

    def __init__(self):
        self.supply_loop = self.pressure_loop = self.valve = self
        self.command_pct = 40.0
        self.pumps = []


def nothing(*_):
    pass


def log_component(*_):
    return "log"


def travel_after(seconds):
    oscillation, values = OutputOscillation(), Values()
    for second in range(seconds):
        values.command_pct = 40.0 if second % 2 else 43.0
        for _ in range(3):  # more calls than samples
            oscillation.tick(values, second * SECOND)
    return oscillation


def test_travel_of_an_output_is_a_rate_of_minutes():
    eq(travel_after(59).travel_rate(0), 0.0)
    for seconds in (61, 121, 600):
        near(travel_after(seconds).travel_rate(0), 3.0 * (seconds - 1) * 60 / seconds, 1e-6)
    eq(travel_after(600).find_degraded(None), "valve travel")
    eq(travel_after(600).find_degraded(travel_after(600)), "")


def test_a_restart_waits_for_its_records_for_a_time_at_most():
    rig = start_rig()
    manager = rig.manager
    manager.write_queue.after_durable = nothing  # the store does not answer
    manager.restart_when_stored(rig.now)
    due = manager._restart_at
    eq(due > rig.now + SECOND, True)
    manager.tick(due - 1)
    eq(manager._restart_at, due)
    manager.tick(due)
    eq(manager._restart_at, NEVER)
    rig.run(1)
    eq(rig.restarts, 1)


def test_keys_of_a_configuration_are_checked_with_their_place():
    raw = remote_config()
    raw["remote"]["keys"][1]["public"] = "01" + "00" * 31  # a point of small order
    error = raises(ConfigError, load, raw, profiles())
    eq("remote.keys[1].public: no Ed25519 public key" in str(error), True)
    raw["remote"]["keys"][1] = dict(raw["remote"]["keys"][0])
    text = str(raises(ConfigError, load, raw, profiles()))
    for part in (
        "remote.keys[1].number: 1 is the number of another key",
        "remote.keys[1].public: it is the same key as another one",
        "remote.keys: two keys are needed, one of them with the role limits",
    ):
        eq((part in text, part), (True, part))


def test_epoch_of_a_counter_needs_two_signers_and_is_the_next_one():
    for epoch, refused in (
        (1, ("wrong_role", "a new epoch needs two signatures")),
        (2, ("ahead", "the next epoch is 1")),
    ):
        eq(refusal(unsigned(COMMAND, command(counter=(epoch << 32) + 201))), refused)


def test_without_a_boot_state_or_an_open_store_no_message_is_checked():
    rig = start_rig()
    data = make_patch(rig, [(SETPOINT, 33)])
    rig.manager.has_boot_state = False
    eq(reject_reason(rig, data), "store")
    eq(rig.manager.rejections.last[1] != "", True)
    rig.manager.has_boot_state = True
    rig.manager.write_queue.is_open = lambda: False
    eq(reject_reason(rig, data), "store")
    eq(rig.manager.rejections.last[1], "it is not open")


def test_confirmation_of_an_update_that_is_not_on_trial():
    rig, _ = start(make_fetched_rig().store)
    update = rig.manager.update
    refused = raises(Rejection, update.confirm, COUNTER + 1, rig.now)
    eq((refused.reason, refused.detail), ("no_trial", "on trial is %d" % COUNTER))
    update.trial_monitor = None
    refused = raises(Rejection, update.confirm, COUNTER, rig.now)
    eq((refused.reason, refused.detail), ("no_trial", ""))


def test_acknowledgement_names_the_component_that_starts_again():
    rig = start_rig()
    table = CommandTable(rig.manager)
    table._acknowledge_parts = log_component  # it waits for an operator
    found = []
    for arguments in ({"code": "log"}, {"code": "all"}):
        message = Acknowledgement(arguments)
        found.append(table.execute(message, rig.now))
    eq(found, ["acknowledged: log"] * 2)


def test_acknowledgement_passes_its_code():
    rig, codes = start_rig(), []
    table = CommandTable(rig.manager)

    def record_code(code):
        codes.append(code)
        return "log"

    table._acknowledge_parts = record_code
    for arguments in ({"code": "log"}, {}):
        table.execute(Acknowledgement(arguments), rig.now)
    eq(codes, ["log", None])


class AcknowledgedAlarms:
    """The list of alarms of `agent.northbound`; `found`: it has such an alarm."""

    def __init__(self, found):
        self.found, self.codes = found, []

    def acknowledge(self, code):
        self.codes.append(code)
        return self.found


class CauseComponent:
    """A component that can have the alarm as a cause."""

    COMMANDS = ("acknowledge",)

    def __init__(self, error):
        self.error, self.handled = error, []

    def handle_command(self, name, arguments, now):
        self.handled.append((name, arguments, now))
        if self.error is not None:
            raise self.error


def acknowledge_alarm(arguments, found, error=None):
    """Return the result or the refusal, the codes that the list got, and those of the cause."""
    rig, states, component = start_rig(), AcknowledgedAlarms(found), CauseComponent(error)
    table, agent = CommandTable(rig.manager), rig.agent
    agent.service = lambda name: {"alarm_states": states}[name]
    agent.components = [component]
    try:
        result = table.execute(Acknowledgement(arguments), 7)
    except Rejection as rejection:
        result = rejection.reason
    return result, states.codes, [given[2] for given in component.handled]


def test_an_alarm_is_acknowledged_by_its_code_and_as_a_cause():
    code = {"code": "supply_high"}
    for error in (None, ConfigError("it is no cause")):
        eq(
            acknowledge_alarm(code, True, error),
            ("acknowledged: supply_high", ["supply_high"], [7]),
        )
    eq(acknowledge_alarm(code, False), ("unsupported", ["supply_high"], [7]))
    eq(acknowledge_alarm({}, True), ("unsupported", [None], [7]))


class FailingComponent:
    """A component whose command raises."""

    COMMANDS = ("acknowledge",)

    def handle_command(self, name, arguments, now):
        raise ValueError(name)


def test_an_exception_of_a_command_goes_to_the_guard():
    rig, handled = start_rig(), []
    table, component = CommandTable(rig.manager), FailingComponent()
    guard, handle = rig.agent.guard, rig.agent.guard.handle
    guard.handle = lambda *given: handled.append(given)
    message = Acknowledgement({})
    refused = raises(Rejection, table._command, component, message, rig.now)
    guard.handle = handle
    eq((refused.reason, refused.detail), ("busy", "off after an exception"))
    eq(
        [(given[0], str(given[1]), given[2]) for given in handled],
        [(component, "acknowledge", rig.now)],
    )


def test_slots_of_a_site_file_that_cannot_be_read():
    """Its record stays valid: the configuration in its slot is used."""
    slots = ConfigSlots(b"hash of the file")
    slots.slot, slots.version = 1, 7
    key, data = slots.record_write()
    for site_file_hash, slot, version in (
        (None, 1, 7),
        (b"hash of the file", 1, 7),
        (b"another", ConfigSlots(b"").slot, 8),
    ):
        found = load_slots(site_file_hash, lambda name: data if name == key else None)
        eq((site_file_hash, found.slot, found.version), (site_file_hash, slot, version))
    eq(load_slots(None, lambda _: data).site_file_hash, b"hash of the file")


class Acknowledgement:
    """The signed command `acknowledge`."""

    name = "acknowledge"

    def __init__(self, arguments):
        self.arguments = arguments


def test_last_report_of_a_unit_has_no_configuration():
    rig = ReportRig(keyed_store())
    rig.run(6)
    rig.send(make_command("decommission", (), (OPERATOR, LIMITER)))
    rig.run(3)
    eq(rig.published["cfg/config"], b"")
    eq(b'"config":""' in rig.published["cfg/reported"], True)


def swing_after(seconds, half_s):
    oscillation, values = OutputOscillation(), Values()
    for second in range(seconds):
        values.command_pct = 40.0 if second // half_s % 2 else 60.0
        oscillation.tick(values, second * SECOND)
    return oscillation.amplitude(0)


def test_half_waves_have_their_length_in_seconds():
    """From 2 s to 15 min."""
    for half_s, count, swing in ((1, 60, 0.0), (2, 20, 20.0), (800, 9, 20.0), (902, 9, 0.0)):
        eq((half_s, swing_after(half_s * count, half_s)), (half_s, swing))


class QueueOfRequests:
    """A write queue, and the agent of a capture, that record what they get."""

    def __init__(self):
        self.requests = []

    def request(self, op, data, now):
        self.requests.append((op, data))

    def is_busy(self):
        return False

    def add_port_listener(self, listener):
        pass

    def remove_port_listener(self, listener):
        pass


def test_a_capture_holds_2048_bytes_that_are_not_written():
    for last, dropped in ((246, 0), (247, 1)):
        queue = QueueOfRequests()
        capture = PortCapture(queue, queue, 3, 100 * SECOND, 0)
        for chunk in (256, 256, 256, last):  # a line has 5 bytes more than twice the chunk
            capture.on_receive(3, bytes(chunk), 0)
        eq((last, capture.dropped), (last, dropped))


class ManagerOfEntries(QueueOfRequests):
    """A manager that records the entries of its audit log."""

    def __init__(self):
        QueueOfRequests.__init__(self)
        self.entries, self.restarts, self.trial = [], [], None
        self.write_queue = self.releases = self._manager = self
        self.trial_monitor = self

    def audit_entry(self, *fields):
        self.entries.append(fields)

    def write_records(self, records, now):
        self.requests.append((records, now))

    def roll_back(self, reason):
        return [reason]

    def restart_when_stored(self, now):
        self.restarts.append(now)


def test_a_software_that_is_rolled_back_has_an_entry_with_its_time():
    manager = ManagerOfEntries()
    SoftwareUpdate.roll_back(manager, "why", 7)
    eq(manager.entries, [([], "rolled back", 0, "why", 7)])
    eq((manager.requests, manager.restarts), ([(["why"], 7)], [7]))
    eq(manager.trial_monitor, None)


class VerifiedMessage:
    """A verified command of a site key."""

    kind, is_site, signers = COMMAND, True, [9]

    def __init__(self, message):
        self.message = message


def test_an_accepted_message_of_a_site_key_is_counted_there():
    rig, accepted = start_rig(), []
    manager = rig.manager
    manager.agent.service = lambda name: RecordedSite(name, accepted)
    manager._execute = nothing
    message = Acknowledgement({})
    message.counter = 11
    eq(list(manager.act_slices(VerifiedMessage(message), 7)), [])
    eq(accepted, [("site_writes", message, 7)])


class RecordedSite:
    """The service that limits what a site key changes."""

    def __init__(self, name, accepted):
        self.name, self.accepted = name, accepted

    def on_accepted(self, message, now):
        self.accepted.append((self.name, message, now))


def test_a_board_leaves_the_curve_of_a_key_to_the_tools():
    """The check takes long on a board; no signature is valid under such a key."""
    raw = remote_config()
    raw["remote"]["keys"][1]["public"] = "01" + "00" * 31
    sys.modules["_board_data"] = sys
    try:
        load(raw, profiles())
    finally:
        del sys.modules["_board_data"]
    check = Verification(bytes.fromhex(raw["remote"]["keys"][1]["public"]), b"", b"\1" + bytes(63))
    while check.valid is None:
        check.step()
    eq(check.valid, False)
