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
from deploy.ops.messages import Reported
from deploy.ops.mqtt_session import Session
from deploy.ops.rollout import CONFIRMED, Plan, Rollout, Unit
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
        "--listen", type=common.duration, default=5, metavar="TIME", help="for who is there (5s)"
    )
    parser.add_argument(
        "--answer", type=common.duration, default=600, metavar="TIME", help="wait for it (10m)"
    )
    parser.add_argument(
        "--trial", type=common.duration, default=3600, metavar="TIME", help="longest trial (1h)"
    )
    parser.add_argument(
        "--no-confirm", action="store_true", help="leave it on trial, to be confirmed by hand"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Push, watch, say what became of it; 0 when every unit has confirmed."""
    pattern, words = arguments.units, list(arguments.changes)
    if arguments.group is not None and "=" in pattern:
        pattern, words = "*", [pattern, *words]
    wanted = change_parser.parse(words)
    keys = common.load_keys(arguments)
    with common.session(arguments) as link:
        units = _present(link, pattern, arguments.listen)
        if arguments.group is not None:
            units = _members(link, units, arguments.group, arguments.listen)
        rollout = _rollout(arguments, wanted, keys, units)
        began = time.monotonic()
        sent = drive(rollout, link, progress=sys.stderr.isatty())
    outcome = {
        "units": len(units),
        "states": rollout.counts(),
        "aborted": rollout.aborted,
        "failed": {u.name: u.reason for u in rollout.units.values() if u.reason},
        "messages": sent,
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(outcome) if arguments.json else _text(outcome))
    good = CONFIRMED if not arguments.no_confirm else "trial"
    return 0 if rollout.counts().get(good, 0) == len(units) else 1


def _present(link: Session, pattern: str, seconds: float) -> dict[str, Reported]:
    """Find the units that match and have reported; all of them when the pattern is a name."""
    link.subscribe(f"+/+/{common.REPORTED}" if "*" in pattern else f"{pattern}/{common.REPORTED}")
    found: dict[str, Reported] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end and ("*" in pattern or not found):
        for topic, payload in link.messages(0.2):
            name = topic.removesuffix(f"/{common.REPORTED}")
            if payload and fnmatch.fnmatchcase(name, pattern):
                found[name] = messages.read(payload)
    if not found:
        raise OpsError(f"{pattern}: no such unit has reported within {seconds} s")
    return found


def _members(
    link: Session, units: dict[str, Reported], group: str, seconds: float
) -> dict[str, Reported]:
    """Keep the units whose published configuration names the group; wait for all of them."""
    link.subscribe(f"+/+/{CONFIG}")
    groups: dict[str, list[str]] = {}
    end = time.monotonic() + seconds
    while time.monotonic() < end and len(groups) < len(units):
        for topic, payload in link.messages(0.2):
            name = topic.removesuffix(f"/{CONFIG}")
            if name in units and name != topic:
                groups[name] = _groups(payload)
    found = {name: report for name, report in units.items() if group in groups.get(name, [])}
    if not found:
        raise OpsError(f"group {group}: none of {len(units)} units is in it; see `config diff`")
    return found


def _groups(payload: bytes) -> list[str]:
    try:
        section: dict[str, list[str]] = canonical.read(payload).get("remote", {})
    except DecodeError:
        return []
    return list(section.get("groups", []))


def _patches(
    arguments: argparse.Namespace,
    wanted: list[change_parser.Change],
    keys: list[Key],
    units: dict[str, Reported],
) -> Callable[[str, Reported], tuple[int, bytes]]:
    """Give what makes the patch of a unit: its own, or the group's, signed once."""
    when = common.times(arguments)
    if arguments.group is None:
        return lambda name, base: messages.signed_patch(
            name, base, wanted, keys, common.times(arguments)
        )
    one = messages.signed_for_group(arguments.group, list(units.values()), wanted, keys, when)
    return lambda _name, _base: one


def _rollout(
    arguments: argparse.Namespace,
    wanted: list[change_parser.Change],
    keys: list[Key],
    units: dict[str, Reported],
) -> Rollout:
    def order(name: str, base: Reported, word: str, counter: int) -> bytes:
        arguments_of = [("counter", counter)] if word == "confirm" else []
        when = messages.Times(int(time.time()), arguments.expires)
        return messages.signed_command(name, base, word, list(arguments_of), keys, when)[1]

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
        {name: Unit(name, report=units[name]) for name in sorted(units)},
        _patches(arguments, wanted, keys, units),
        lambda name, base, counter: order(name, base, "confirm", counter),
        lambda name, base, counter: order(name, base, "rollback", counter),
    )


def drive(rollout: Rollout, link: Session, progress: bool = False) -> int:
    """Turn the rollout until it is done; give the number of messages sent."""
    sent = 0
    with _signals(rollout):
        while not rollout.done() or rollout.out:
            for topic, payload in link.messages(0.05):
                name = topic.removesuffix(f"/{common.REPORTED}")
                if payload and name != topic:
                    rollout.report(name, messages.read(payload), time.monotonic())
            rollout.tick(time.monotonic())
            for name, what, message in rollout.out:
                topic = common.COMMAND if what == "command" else common.DESIRED
                link.send(f"{name}/{topic}", message, retain=what != "command")
                sent += 1
            rollout.out.clear()
            if progress:
                pause = " (pause)" if rollout.paused else ""
                print(f"\r{rollout.counts()}{pause}", end="", file=sys.stderr, flush=True)
    return sent


@contextlib.contextmanager
def _signals(rollout: Rollout) -> Iterator[None]:
    """Let SIGINT stop the rollout, and SIGUSR1 halt it and let it go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        if not rollout.aborted:
            rollout.abort("stopped by the operator")

    def pause(_number: int, _frame: object) -> None:
        rollout.paused = not rollout.paused

    before = [(n, signal.signal(n, f)) for n, f in ((signal.SIGINT, stop), (signal.SIGUSR1, pause))]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _text(outcome: dict[str, object]) -> str:
    lines = [f"{outcome['units']} units: {outcome['states']}, {outcome['messages']} messages"]
    if outcome["aborted"]:
        lines.append(f"stopped: {outcome['aborted']}")
    failed = outcome["failed"]
    if isinstance(failed, dict):
        lines += [f"{name}: {reason}" for name, reason in failed.items()]
    return "\n".join(lines)
