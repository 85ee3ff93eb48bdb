# SPDX-License-Identifier: Apache-2.0
"""Messages of the Base registry of Redfish (DSP0268) that the service sends, and their errors.

Does not have the messages of alarms; see `deploy.northbound.redfish.registry`. `RedfishError` ends
the handling of a request; the service makes the answer from it.
"""

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

BASE = "Base.1.18"
_FILE = "messages.toml"

Json = dict[str, Any]


@cache
def _registry() -> dict[str, dict[str, str]]:
    """Read the messages; messages.toml beside this file has them."""
    text = (Path(__file__).parent / _FILE).read_text(encoding="utf-8")
    return tomllib.loads(text)


def message(key: str, *args: object, related: Sequence[str] = ()) -> Json:
    """Return a message of the Base registry. `related`: names of its properties."""
    entry = _registry()[key]
    text = entry["text"]
    for number, arg in enumerate(args, 1):
        text = text.replace(f"%{number}", str(arg))
    found: Json = {
        "@odata.type": "#Message.v1_1_2.Message",
        "MessageId": f"{BASE}.{key}",
        "Message": text,
        "MessageArgs": [str(arg) for arg in args],
        "MessageSeverity": entry["severity"],
        "Resolution": entry["resolution"],
    }
    if related:
        found["RelatedProperties"] = [f"/{name}" for name in related]
    return found


class RedfishError(Exception):
    """A request that the service refuses: status code, messages, further header fields."""

    def __init__(self, status: int, *messages: Json, headers: dict[str, str] | None = None) -> None:
        super().__init__(messages[0]["Message"] if messages else str(status))
        self.status = status
        self.messages = list(messages) or [message("GeneralError")]
        self.headers = headers or {}

    def body(self) -> Json:
        """Return the body of the answer."""
        first = self.messages[0]
        return {
            "error": {
                "code": first["MessageId"],
                "message": first["Message"],
                "@Message.ExtendedInfo": self.messages,
            }
        }


def not_found(path: str) -> RedfishError:
    """Return the error of an unknown path."""
    return RedfishError(404, message("ResourceMissingAtURI", path))
