# SPDX-License-Identifier: Apache-2.0
"""Signed messages of operators to the emulated unit, for scenarios.

Does not replace the operators' tools; see `deploy.ops`. The messages can be valid or invalid. The
two keys come from fixed seeds and are public. So a seed of a run always gives the same run.
"""

import json
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.core.tunable import LIMITS as LIMITS_ROLE
from agent.remote.message import command, patch
from agent.remote.message.canonical import to_cbor
from hil.bench.testbed_settings import TestbedSettings
from protocols.signed_message import COMMAND, PATCH, SignedMessage, build_signing_input, pack

OPERATE, LIMITS, UNKNOWN_SIGNER = 1, 2, 3
HEALTH_S = 60
CONFIRM_S = 600
_DAY_S = 86_400
_TARGET = "bench/cdu1"


class ParameterChange(NamedTuple):
    """A change of one parameter: number (`agent.remote.message.parameters`) and new value."""

    number: int
    value: float


def _private_key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def _public_key(number: int) -> str:
    return _private_key(number).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def write_section(_: TestbedSettings) -> dict[str, Any]:
    """Write the section `remote` of the unit's configuration."""
    return {
        "port": "store:/virtual/remote",
        "health_s": HEALTH_S,
        "keys": [
            {"number": OPERATE, "public": _public_key(OPERATE), "role": "operate"},
            {"number": LIMITS, "public": _public_key(LIMITS), "role": "limits"},
        ],
    }


def _sign(kind: int, base: bytes, body: bytes, *signers: int) -> bytes:
    signed = build_signing_input(kind, _TARGET, base, body)
    signatures = []
    for signer in signers:
        # An unknown signer claims the key number of the operator.
        number = OPERATE if signer == UNKNOWN_SIGNER else signer
        signatures.append((number, _private_key(signer).sign(signed)))
    return pack(SignedMessage(kind, body, signatures))


def sign_patch(
    report: bytes, utc_s: int, changes: list[ParameterChange], signer: int = OPERATE
) -> bytes:
    """Sign a change for the unit whose last report (`cfg/reported`) is `report`."""
    reported = json.loads(report)
    values = [(number, to_cbor(value)) for number, value in changes]
    body = patch.encode_patch(utc_s, reported["version"], utc_s + _DAY_S, CONFIRM_S, values)
    return _sign(PATCH, bytes.fromhex(reported["hash"]), body, signer)


def sign_command(utc_s: int, name: str, *arguments: tuple[str, Any]) -> bytes:
    """Sign a command for the unit, if necessary twice; `utc_s` is the time of issue, s."""
    body = command.encode_command(utc_s, utc_s + _DAY_S, name, list(arguments))
    is_limits = dict(command.ROLES)[name] == LIMITS_ROLE
    return _sign(COMMAND, b"", body, *((OPERATE, LIMITS) if is_limits else (OPERATE,)))
