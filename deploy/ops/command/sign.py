"""`coldloop config sign`: a signed change as a file, for a carrier without a broker.

The unit's report (the output of `config show --json`) says which base it changes.
"""

import argparse
import json
import sys
from pathlib import Path

from deploy.errors import OpsError
from deploy.ops import arguments as common
from deploy.ops import change_parser, messages

EXAMPLE = (
    "coldloop config sign site/unit control.supply.setpoint_c=32.5 --report report.json "
    "--key alice.key --out patch.cbor"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("unit", metavar="SITE/UNIT", type=common.parse_unit_name)
    parser.add_argument("changes", metavar="PATH=VALUE", nargs="+", help="what to change")
    parser.add_argument("--report", metavar="FILE", required=True, help="from `show --json`")
    common.add_keys(parser)
    common.add_times(parser)
    parser.add_argument("--out", metavar="FILE", required=True, help="where the message goes")
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Sign, and say how long the message is."""
    requested = change_parser.parse(arguments.changes)
    base = _read_report(Path(arguments.report))
    keys = common.load_keys(arguments)
    counter, message = messages.sign_patch(
        arguments.unit, base, requested, keys, common.message_times(arguments)
    )
    try:
        Path(arguments.out).write_bytes(message)
    except OSError as error:
        raise OpsError(f"{arguments.out}: {error.strerror}") from None
    if arguments.json:
        print(json.dumps({"file": arguments.out, "bytes": len(message), "counter": counter}))
    else:
        sys.stdout.write(f"{arguments.out}: {len(message)} bytes, counter {counter}\n")
    return 0


def _read_report(path: Path) -> messages.UnitReport:
    try:
        raw = json.loads(path.read_text())
        raw["hash"] = raw.pop("base_hash")
        return messages.parse_report(json.dumps(raw).encode())
    except (OSError, ValueError, KeyError, AttributeError):
        raise OpsError(f"{path}: not a report; make one with `config show --json`") from None
