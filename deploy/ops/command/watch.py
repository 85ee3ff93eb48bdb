"""`coldloop config watch`: a line for each change in what units report, until Ctrl-C."""

import argparse
import fnmatch
import json
import time

from deploy.ops import arguments as common
from deploy.ops import messages
from deploy.ops.command.show import as_json
from deploy.ops.messages import Reported

EXAMPLE = "coldloop config watch 'riyadh-2/*' --broker tls:broker.example:8883?ca=ca.pem"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("units", metavar="SITE/UNIT", help="a unit, or a pattern such as 'site/*'")
    common.add_broker(parser)
    parser.add_argument(
        "--for", dest="seconds", type=common.duration, default=0, metavar="TIME", help="(for ever)"
    )
    parser.add_argument("--json", action="store_true", help="print each report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print what comes."""
    end = time.monotonic() + arguments.seconds if arguments.seconds else None
    last: dict[str, str] = {}
    with common.session(arguments) as link:
        link.subscribe(f"+/+/{common.REPORTED}")
        while end is None or time.monotonic() < end:
            for topic, payload in link.messages(0.2):
                name = topic.removesuffix(f"/{common.REPORTED}")
                if payload and fnmatch.fnmatchcase(name, arguments.units):
                    _tell(name, messages.read(payload), last, arguments.json)
    return 0


def _tell(name: str, report: Reported, last: dict[str, str], as_text: bool) -> None:
    line = _line(report)
    if last.get(name) == line:
        return
    last[name] = line
    shown = json.dumps({"unit": name, **as_json(report)}) if as_text else f"{name}  {line}"
    print(shown, flush=True)


def _line(report: Reported) -> str:
    trial = "" if report.trial is None else f", {report.trial} on trial ({report.phase})"
    update = report.update
    fetched = f", update {update[2]} of {update[3]}" if update and update[4] == "fetching" else ""
    refused = f", {report.refused} refused: {report.refusal[0]}" if report.refused else ""
    last = " ".join(map(str, report.last)).rstrip()
    return f"version {report.version}{trial}{fetched}, last {last}{refused}"
