"""`coldloop config push`: a signed change to one unit or many, canaries first, to its end.

Ctrl-C (SIGINT) stops it in order: nothing more is sent, and what is on trial is called back.
SIGUSR1 makes a pause, and ends one: what is on its way goes on, nothing new begins.

With `--group` one message is signed for all units of a group, whatever each of them runs: for a key
in a token that wants to be touched, and for carriers that reach many at once. Who is in a group is
taken from the configurations that units publish; a unit that is not refuses it (wrong_target).
"""

import argparse
import contextlib
import fnmatch
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

from agent.remote.message import canonical
from deploy.errors import OpsError
from deploy.ops import arguments as common
from deploy.ops import change_parser, messages
from deploy.ops.keys import Key
from deploy.ops.messages import UnitReport
from deploy.ops.mqtt_session import BrokerSession
from deploy.ops.rollout import CONFIRMED, Plan, Rollout, RolloutUnit
from protocols.errors import DecodeError

CONFIG = "cfg/config"
EXAMPLE = (
    "coldloop config push 'riyadh-2/*' control.supply.setpoint_c=32.5 "
    "--broker tcp:broker:1883 --key alice.key --canary 5"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument(
        "units",
        metavar="SITE/UNIT",
        help="a unit, or a pattern such as 'site/*'; none with --group",
    )
    parser.add_argument("changes", metavar="PATH=VALUE", nargs="*", help="what to change")
    parser.add_argument("--group", metavar="NAME", help="the units of a group, by one message")
    common.add_broker(parser)
    common.add_keys(parser)
    common.add_times(parser)
    for name, default, about in (
        ("--canary", 5.0, "share that goes first (5)"),
        ("--failures", 10.0, "share that may fail before all is stopped (10)"),
    ):
        parser.add_argument(name, type=float, default=default, metavar="PERCENT", help=about)
    parser.add_argument("--wave", type=int, default=50, metavar="N", help="on their way at a time")
    parser.add_argument(
        "--listen",
        type=common.parse_duration,
        default=5,
        metavar="TIME",
        help="for who is there (5s)",
    )
    parser.add_argument(
        "--answer",
        type=common.parse_duration,
        default=600,
        metavar="TIME",
        help="wait for it (10m)",
    )
    parser.add_argument(
        "--trial",
        type=common.parse_duration,
        default=3600,
        metavar="TIME",
        help="longest trial (1h)",
    )
    parser.add_argument(
        "--no-confirm", action="store_true", help="leave it on trial, to be confirmed by hand"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Push, watch, say what became of it; 0 when every unit has confirmed."""
    pattern, change_texts = arguments.units, list(arguments.changes)
    if arguments.group is not None and "=" in pattern:
        pattern, change_texts = "*", [pattern, *change_texts]
    requested = change_parser.parse(change_texts)
    keys = common.load_keys(arguments)
    with common.open_session(arguments) as session:
        units = _find_units(session, pattern, arguments.listen)
        if arguments.group is not None:
            units = _filter_by_group(session, units, arguments.group, arguments.listen)
        rollout = _make_rollout(arguments, requested, keys, units)
        started_at = time.monotonic()
        sent = run_rollout(rollout, session, progress=sys.stderr.isatty())
    outcome = {
        "units": len(units),
        "states": rollout.count_states(),
        "aborted": rollout.aborted,
        "failed": {u.name: u.reason for u in rollout.units.values() if u.reason},
        "messages": sent,
        "seconds": round(time.monotonic() - started_at, 1),
    }
    print(json.dumps(outcome) if arguments.json else _format_outcome(outcome))
    success_state = CONFIRMED if not arguments.no_confirm else "trial"
    return 0 if rollout.count_states().get(success_state, 0) == len(units) else 1


def _find_units(session: BrokerSession, pattern: str, seconds: float) -> dict[str, UnitReport]:
    """Find the units that match and have reported; all of them when the pattern is a name."""
    session.subscribe(
        f"+/+/{common.REPORTED}" if "*" in pattern else f"{pattern}/{common.REPORTED}"
    )
    reports: dict[str, UnitReport] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end and ("*" in pattern or not reports):
        for topic, payload in session.messages(0.2):
            name = topic.removesuffix(f"/{common.REPORTED}")
            if payload and fnmatch.fnmatchcase(name, pattern):
                reports[name] = messages.parse_report(payload)
    if not reports:
        raise OpsError(f"{pattern}: no such unit has reported within {seconds} s")
    return reports


def _filter_by_group(
    session: BrokerSession, units: dict[str, UnitReport], group: str, seconds: float
) -> dict[str, UnitReport]:
    """Keep the units whose published configuration names the group; wait for all of them."""
    session.subscribe(f"+/+/{CONFIG}")
    groups: dict[str, list[str]] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end and len(groups) < len(units):
        for topic, payload in session.messages(0.2):
            name = topic.removesuffix(f"/{CONFIG}")
            if name in units and name != topic:
                groups[name] = _read_groups(payload)
    members = {name: report for name, report in units.items() if group in groups.get(name, [])}
    if not members:
        raise OpsError(f"group {group}: none of {len(units)} units is in it; see `config diff`")
    return members


def _read_groups(payload: bytes) -> list[str]:
    try:
        section: dict[str, list[str]] = canonical.decode_config(payload).get("remote", {})
    except DecodeError:
        return []
    return list(section.get("groups", []))


def _patch_factory(
    arguments: argparse.Namespace,
    requested: list[change_parser.Change],
    keys: list[Key],
    units: dict[str, UnitReport],
) -> Callable[[str, UnitReport], tuple[int, bytes]]:
    """Give what makes the patch of a unit: its own, or the group's, signed once."""
    times = common.message_times(arguments)
    if arguments.group is None:
        return lambda name, base: messages.sign_patch(
            name, base, requested, keys, common.message_times(arguments)
        )
    group_patch = messages.sign_group_patch(
        arguments.group, list(units.values()), requested, keys, times
    )
    return lambda _name, _base: group_patch


def _make_rollout(
    arguments: argparse.Namespace,
    requested: list[change_parser.Change],
    keys: list[Key],
    units: dict[str, UnitReport],
) -> Rollout:
    def sign_command(name: str, base: UnitReport, word: str, counter: int) -> bytes:
        arguments_of = [("counter", counter)] if word == "confirm" else []
        when = messages.MessageTimes(int(time.time()), arguments.expires)
        return messages.sign_command(name, base, word, list(arguments_of), keys, when)[1]

    plan = Plan(
        arguments.canary / 100,
        arguments.failures / 100,
        arguments.wave,
        arguments.answer + arguments.after,
        arguments.trial,
        not arguments.no_confirm,
    )
    return Rollout(
        plan,
        {name: RolloutUnit(name, report=units[name]) for name in sorted(units)},
        _patch_factory(arguments, requested, keys, units),
        lambda name, base, counter: sign_command(name, base, "confirm", counter),
        lambda name, base, counter: sign_command(name, base, "rollback", counter),
    )


def run_rollout(rollout: Rollout, session: BrokerSession, progress: bool = False) -> int:
    """Turn the rollout until it is done; give the number of messages sent."""
    sent = 0
    with _handle_signals(rollout):
        while not rollout.is_done() or rollout.outbox:
            for topic, payload in session.messages(0.05):
                name = topic.removesuffix(f"/{common.REPORTED}")
                if payload and name != topic:
                    rollout.report(name, messages.parse_report(payload), time.monotonic())
            rollout.tick(time.monotonic())
            for name, kind, message in rollout.outbox:
                topic = common.COMMAND if kind == "command" else common.DESIRED
                session.publish_async(f"{name}/{topic}", message, retain=kind != "command")
                sent += 1
            rollout.outbox.clear()
            if progress:
                pause = " (pause)" if rollout.paused else ""
                print(f"\r{rollout.count_states()}{pause}", end="", file=sys.stderr, flush=True)
    return sent


@contextlib.contextmanager
def _handle_signals(rollout: Rollout) -> Iterator[None]:
    """Let SIGINT stop the rollout, and SIGUSR1 halt it and let it go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        if not rollout.aborted:
            rollout.abort("stopped by the operator")

    def pause(_number: int, _frame: object) -> None:
        rollout.paused = not rollout.paused

    previous_handlers = [
        (n, signal.signal(n, f)) for n, f in ((signal.SIGINT, stop), (signal.SIGUSR1, pause))
    ]
    try:
        yield
    finally:
        for number, handler in previous_handlers:
            signal.signal(number, handler)


def _format_outcome(outcome: dict[str, object]) -> str:
    lines = [f"{outcome['units']} units: {outcome['states']}, {outcome['messages']} messages"]
    if outcome["aborted"]:
        lines.append(f"stopped: {outcome['aborted']}")
    failed = outcome["failed"]
    if isinstance(failed, dict):
        lines += [f"{name}: {reason}" for name, reason in failed.items()]
    return "\n".join(lines)
