# SPDX-License-Identifier: Apache-2.0
"""`coldloop config push`: send a signed change to one unit or many, canaries first.

Ctrl-C (SIGINT) stops the rollout: the command sends no new change and rolls back each unconfirmed
trial. SIGUSR1 pauses and resumes it: units in progress continue, no new unit starts. The rollout
has a journal, so `coldloop config rollout resume` continues it after this process has died.

With `--dry-run` nothing is sent: the change is tried on each different configuration of the units,
with emulated twins in virtual time (`deploy.ops.unit_config.dry_run`).

With `--group` the operator signs one message for all units of a group, with any base. This is for a
key in a token and for carriers that reach many units with one message. The published configuration
of a unit names its groups. A unit outside the group rejects the message (wrong_target).
"""

import argparse
import fnmatch
import json
import math
import re
import sys
import time
from dataclasses import asdict
from typing import Any

from agent.config.validate import is_valid_name
from deploy.errors import OpsError
from deploy.ops import change_parser
from deploy.ops.arguments import (
    add_broker,
    add_keys,
    add_time,
    add_times,
    load_keys,
    open_ledger,
    open_session,
)
from deploy.ops.fleet.rollout.driver import (
    WILD,
    collect_reports,
    format_outcome,
    make_rollout,
    outcome_of,
    rollouts_folder,
    run_rollout,
)
from deploy.ops.fleet.rollout.journal import (
    RolloutJournal,
    RolloutSettings,
    encode_changes,
    first_record,
    new_name,
    read_journal,
)
from deploy.ops.fleet.rollout.state import CONFIRMED, Plan
from deploy.ops.keys import Key
from deploy.ops.mqtt_session import BrokerSession
from deploy.ops.report.unit_report import UnitReport
from deploy.ops.unit_config.archive import MAX_ENTRIES, ConfigArchive
from deploy.ops.unit_config.dry_run import print_dry_run
from deploy.ops.unit_config.published import collect_configs, list_differences
from deploy.relay.terminal_text import printable
from protocols.signed_message import PATCH

_PATTERN = re.compile(r"[a-z0-9_*?\[\]!-]+/[a-z0-9_*?\[\]!-]+")
EXAMPLE = (
    "coldloop config push 'riyadh-2/*' control.supply.setpoint_c=32.5 "
    "--broker tcp:broker:1883 --key alice.key --canary 5"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "units",
        metavar="SITE/UNIT",
        help="a unit, or a pattern such as 'site/*'; not with --group",
    )
    parser.add_argument("changes", metavar="PATH=VALUE", nargs="*", help="the changes")
    parser.add_argument(
        "--archived",
        type=_parse_count,
        metavar="N",
        help="instead of changes: the values of one unit before its last N changes from here",
    )
    parser.add_argument("--yes", action="store_true", help="with --archived: do not ask")
    parser.add_argument("--group", metavar="NAME", help="send one message to the units of a group")
    add_broker(parser)
    add_keys(parser, required=False)
    add_times(parser)
    for name, default, about in (
        ("--canary", 100 * Plan.canary, "share that goes first (5)"),
        ("--failures", 100 * Plan.max_failures, "share that may fail before all is stopped (10)"),
    ):
        parser.add_argument(name, type=float, default=default, metavar="PERCENT", help=about)
    parser.add_argument(
        "--wave", type=int, default=Plan.wave, metavar="N", help="maximum in progress (50)"
    )
    parser.add_argument(
        "--cohort",
        metavar="PATTERN",
        action="append",
        default=[],
        help="units that go next, such as 'site/row1*'; repeat it; the rest is the last cohort",
    )
    add_time(parser, "--soak", 0, "pause after each cohort (0s)")
    add_time(parser, "--listen", 5, "time for the reports of the units (5s)")
    add_time(parser, "--answer", Plan.answer_s, "wait so long for a report (10m)")
    add_time(parser, "--trial", Plan.trial_s, "longest trial of a unit (1h)")
    parser.add_argument(
        "--no-confirm", action="store_true", help="leave it on trial; an operator confirms it"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="send nothing: try the change on emulated twins"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Run the rollout and print the outcome; return 0 if each unit has confirmed."""
    pattern, change_texts = arguments.units, list(arguments.changes)
    if arguments.group is not None and "=" in pattern:
        pattern, change_texts = "*", [pattern, *change_texts]
    _check_names(pattern, arguments.group)
    requested: list[change_parser.Change] = []
    if arguments.archived is None:
        requested = change_parser.parse(change_texts)
    elif change_texts or WILD.intersection(pattern):
        raise OpsError("--archived: name one unit, and no PATH=VALUE")
    if not arguments.key and not arguments.dry_run:
        raise OpsError("--key is needed to send a change")
    keys = [] if arguments.dry_run else load_keys(arguments)
    with open_session(arguments) as session:
        units = _find_units(session, pattern, arguments.listen)
        configs = collect_configs(session, units, arguments.listen)
        if arguments.group is not None:
            units = _filter_by_group(units, configs, arguments.group)
        archive = ConfigArchive(open_ledger().path.parent / "configurations")
        if arguments.archived is not None:
            requested = _find_archived(archive, pattern, units, configs, arguments.archived)
            if not (arguments.dry_run or arguments.yes or _confirm()):
                raise OpsError("not sent; --yes sends without the question")
        if arguments.dry_run:
            return print_dry_run(sorted(units), configs, requested, arguments.json)
        for name in units:
            if name in configs:
                archive.add(name, units[name].config_hash, configs[name])
        settings = _settings(arguments, requested, units, keys)
        name, started_at = new_name(), time.monotonic()
        journal = RolloutJournal(rollouts_folder(), name, is_new=True)
        journal.write(first_record(settings))
        if sys.stderr.isatty():
            print(f"rollout {name}", file=sys.stderr, flush=True)
        content = read_journal(rollouts_folder(), name)
        rollout = make_rollout(settings, keys, units, content)
        sent = run_rollout(rollout, session, journal, progress=sys.stderr.isatty())
    outcome = outcome_of(rollout, name, sent, started_at)
    print(json.dumps(outcome) if arguments.json else format_outcome(outcome))
    success_state = CONFIRMED if not arguments.no_confirm else "trial"
    return 0 if rollout.count_states().get(success_state, 0) == len(units) else 1


def _settings(
    arguments: argparse.Namespace,
    requested: list[change_parser.Change],
    units: dict[str, UnitReport],
    keys: list[Key],
) -> RolloutSettings:
    """Return the settings of the rollout for its journal."""
    plan = Plan(
        arguments.canary / 100,
        arguments.failures / 100,
        arguments.wave,
        arguments.answer,
        arguments.trial,
        not arguments.no_confirm,
        arguments.after,
        arguments.soak,
    )
    return RolloutSettings(
        encode_changes(requested),
        arguments.group or "",
        arguments.expires + arguments.after,
        arguments.confirm,
        arguments.after,
        make_cohorts(sorted(units), arguments.cohort, plan.canary),
        asdict(plan),
        signers=[key.public for key in keys if key.public],
        newest_counters={name: report.counters[PATCH - 1] for name, report in units.items()},
    )


def make_cohorts(names: list[str], patterns: list[str], canary: float) -> list[list[str]]:
    """Return the cohorts: the units of each pattern, then the rest; without one the canaries."""
    if not patterns:
        count = max(1, math.ceil(canary * len(names)))
        return [part for part in (names[:count], names[count:]) if part]
    cohorts, rest = [], names
    for pattern in patterns:
        cohort = [name for name in rest if fnmatch.fnmatchcase(name, pattern)]
        if not cohort:
            raise OpsError(f"--cohort {pattern}: no unit that is not in an earlier cohort")
        cohorts.append(cohort)
        rest = [name for name in rest if name not in cohort]
    return [*cohorts, rest] if rest else cohorts


def _parse_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_ENTRIES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MAX_ENTRIES}")
    return int(text)


def _confirm() -> bool:
    """Ask on the terminal; without one the answer is no."""
    if not sys.stdin.isatty():
        return False
    print("send this change? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _find_archived(
    archive: ConfigArchive,
    unit: str,
    units: dict[str, UnitReport],
    configs: dict[str, dict[str, Any]],
    back: int,
) -> list[change_parser.Change]:
    """Return the changes that bring an older configuration back, and print them."""
    if unit not in configs:
        raise OpsError(f"{unit}: no configuration published; check its section remote")
    earlier = archive.earlier(unit, units[unit].config_hash, back)
    different = list_differences(configs[unit], earlier)
    if not different:
        raise OpsError(f"{unit}: has the values of that configuration already")
    for row in different:
        text = f"{row.path}: {json.dumps(row.first)} -> {json.dumps(row.second)}"
        print(printable(text), file=sys.stderr)
    return change_parser.from_values([(row.path, row.second) for row in different])


def _check_names(pattern: str, group: str | None) -> None:
    """Refuse what is no name and no pattern: it would be a pattern of topics, or a line."""
    if pattern != "*" and not _PATTERN.fullmatch(pattern):
        raise OpsError(f"{pattern!r} is not a unit or a pattern; write SITE/UNIT or 'site/*'")
    if group is not None and not is_valid_name(group):
        raise OpsError(f"{group!r} is not the name of a group")


def _find_units(session: BrokerSession, pattern: str, seconds: float) -> dict[str, UnitReport]:
    """Return the units that match and report; a name ends the wait at its report."""
    count = sys.maxsize if WILD.intersection(pattern) else 1
    reports = collect_reports(
        session, pattern, lambda name: fnmatch.fnmatchcase(name, pattern), count, seconds
    )
    if not reports:
        raise OpsError(f"{pattern}: no report of such a unit within {seconds} s")
    return reports


def _filter_by_group(
    units: dict[str, UnitReport], configs: dict[str, dict[str, Any]], group: str
) -> dict[str, UnitReport]:
    """Return the units of the group by their published configurations."""
    members = {name: units[name] for name, raw in configs.items() if group in _read_groups(raw)}
    if not members:
        raise OpsError(
            f"group {group}: none of {len(units)} units belongs to it; see `config diff`"
        )
    return members


def _read_groups(raw: dict[str, Any]) -> list[str]:
    section = raw.get("remote")
    groups = section.get("groups") if isinstance(section, dict) else None
    return groups if isinstance(groups, list) else []
