# SPDX-License-Identifier: Apache-2.0
"""Parser of changes on the command line: `control.supply.setpoint_c=32.5` becomes a part of a
patch.

A path that has a parameter number is sent as the number. A value is JSON; otherwise it is text. A
decimal keeps its digits, so the operator signs the typed value.
"""

import decimal
import json
from typing import Any

from agent.remote.message.canonical import decimal as in_lowest_terms
from agent.remote.message.canonical import to_cbor
from agent.remote.message.parameters import number_of
from deploy.errors import OpsError
from protocols.cbor import MAX_PLACES

Change = tuple[int | str, Any]


def parse(arguments: list[str]) -> list[Change]:
    """Parse PATH=VALUE arguments; `PATH=` removes a key. Raises `OpsError`."""
    changes: list[Change] = []
    for argument in arguments:
        path, separator, text = argument.partition("=")
        if not separator or not path:
            raise OpsError(
                f"{argument!r} is not a change; write PATH=VALUE, or PATH= to remove the key"
            )
        key = number_of(path)
        name: int | str = path if key is None else key
        if name in [changed_name for changed_name, _ in changes]:
            raise OpsError(f"{path} is changed twice")
        changes.append((name, _parse_value(text) if text else None))
    if not changes:
        raise OpsError("no change; write PATH=VALUE")
    return changes


def from_values(values: list[tuple[str, Any]]) -> list[Change]:
    """Return the changes that set these paths to JSON values; None removes the key."""
    changes: list[Change] = []
    for path, value in values:
        key = number_of(path)
        changes.append((path if key is None else key, to_cbor(value)))
    return changes


def _parse_value(text: str) -> Any:
    try:
        return to_cbor(json.loads(text, parse_float=_parse_decimal))
    except ValueError:
        return text


def _parse_decimal(text: str) -> Any:
    number = decimal.Decimal(text)
    places = max(0, -int(number.as_tuple().exponent))
    if places > MAX_PLACES:
        raise OpsError(f"{text} has more than {MAX_PLACES} decimals")
    return in_lowest_terms(int(number.scaleb(places)), places)
