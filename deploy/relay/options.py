# SPDX-License-Identifier: Apache-2.0
"""Options of a relay, as `command` makes them from the command line."""

from dataclasses import dataclass, field
from pathlib import Path

from deploy.errors import DeployError
from deploy.relay.intake.http_server import HttpSettings
from deploy.relay.limits import UnitLimits, is_unit_name
from deploy.relay.mqtt.broker_client import BrokerSettings
from deploy.relay.outputs.registry import check_required
from deploy.relay.outputs.tls.server_tls import OutputTlsFiles
from deploy.secret_file import LoginFile, SecretFile

MAIN_GROUP = "relay"
_LEAST_KEY_BYTES, _MOST_KEY_BYTES = 16, 64
"""As `log.ack_key` of a unit has them. A unit discards each receipt with another key."""


def sends_receipts(outputs: set[str], group: str, choice: bool | None) -> bool:
    """Return whether a relay with these outputs sends receipts; `choice`: the option for it.

    Each group has each message. If two groups send receipts, a unit deletes what one of them has
    not yet. Raises DeployError if it is not clear whether this group is the one that sends them.
    """
    if choice is not None:
        return choice
    if group != MAIN_GROUP and outputs != {"alarms"}:
        raise DeployError(
            f"--group {group}: only one group must send receipts; give --receipts if it is this "
            "one, else --no-receipts"
        )
    return group == MAIN_GROUP


def read_keys(path: str | None) -> dict[str, bytes]:
    """Read the keys of the units. Raises DeployError, OSError."""
    keys: dict[str, bytes] = {}
    try:
        text = Path(path).read_text() if path else ""
    except UnicodeDecodeError:
        raise DeployError(f"{path}: not a text") from None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        unit, key = _parse_key(line, f"{path}:{number}")
        if unit in keys:
            raise DeployError(f"{path}:{number}: a second key of {unit}")
        keys[unit] = key
    return keys


def _parse_key(line: str, place: str) -> tuple[str, bytes]:
    """Return unit and key of a line. Raises DeployError."""
    try:
        unit, digits = line.split()
        key = bytes.fromhex(digits)
        if is_unit_name(unit) and _LEAST_KEY_BYTES <= len(key) <= _MOST_KEY_BYTES:
            return unit, key
    except ValueError:
        pass
    least, most = 2 * _LEAST_KEY_BYTES, 2 * _MOST_KEY_BYTES
    raise DeployError(f"{place}: not SITE/UNIT and a key of {least} to {most} hexadecimal digits")


@dataclass(slots=True)
class RelayOptions:
    """How a relay is started; see `coldloop relay --help`.

    `outputs`: the value of the option of each selected output, by name. `required`: the outputs
    that a receipt waits for; None: those that store. `primary`: the Sparkplug host application to
    wait for. `output_broker`: the broker with the certificate of the outputs; None: `broker`.
    `http`, `gateway`: None turns them off. `shelved`: shelved alarms. `tokens`: the token for the
    HTTP receiver of an output, by name. `tls`: its files for TLS. `is_check`: only check, see
    `command`. `ends_session`: only end the session of `name` at the broker. `sends_receipts`: False
    for a second group.
    """

    broker: BrokerSettings
    store: Path
    name: str = "relay"
    group: str = MAIN_GROUP
    keys: dict[str, bytes] = field(default_factory=dict)
    modems: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    required: set[str] | None = None
    primary: str = ""
    output_broker: BrokerSettings | None = None
    http: HttpSettings | None = None
    gateway: str | None = None
    gateway_login: LoginFile | None = None
    gather_s: float = 20.0
    shelved: Path | None = None
    tokens: dict[str, SecretFile] = field(default_factory=dict)
    tls: dict[str, OutputTlsFiles] = field(default_factory=dict)
    limits: UnitLimits = field(default_factory=UnitLimits)
    undated_wait_s: float = 3600.0
    optional_backlog: int = 1_000_000
    is_check: bool = False
    ends_session: bool = False
    sends_receipts: bool = True

    def __post_init__(self) -> None:
        check_required(self.required or set())
