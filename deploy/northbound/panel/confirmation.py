# SPDX-License-Identifier: Apache-2.0
"""The second confirmation of an action: a code that is valid once, for 30 s, for one session.

Does not know the actions. The first request prepares: it returns a code and the last moment. The
second one confirms with the code, and the server takes the prepared request, not new arguments. The
ground is what the person has seen: the value in force, the occurrence of the alarm, the mode. A
confirmation is for this ground only.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from deploy.northbound.panel.actions import UnitRequest

VALID_S = 30
_MAX_OPEN = 32


class PreparedAction(NamedTuple):
    """A request that waits: name of the action, request, session, monotonic end in s, ground."""

    action: str
    request: UnitRequest
    session: str
    until_s: float
    ground: object = None


class Confirmations:
    """The requests that wait for their confirmation, at most 32; the oldest gives way."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: OrderedDict[str, PreparedAction] = OrderedDict()

    def prepare(
        self, action: str, request: UnitRequest, session: str, ground: object = None
    ) -> str:
        """Keep a request; return its code. A session has one open request."""
        for code in [code for code, item in self._open.items() if item.session == session]:
            del self._open[code]
        while len(self._open) >= _MAX_OPEN:
            self._open.popitem(last=False)
        code = secrets.token_urlsafe(12)
        self._open[code] = PreparedAction(action, request, session, self._clock() + VALID_S, ground)
        return code

    def take(self, code: str, session: str) -> PreparedAction | None:
        """Return the prepared request and forget it; None: unknown, too late, other session."""
        item = self._open.get(code)
        if item is None or item.session != session:
            return None
        del self._open[code]
        return item if self._clock() <= item.until_s else None
