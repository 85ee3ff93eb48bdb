# SPDX-License-Identifier: Apache-2.0
"""Faults inside of the device: an exception of one object is counted and logged, the others go on.

Not for requests: bacpypes3 answers those that raise with an error. Used where the device copies a
record into its objects and sends notifications; there no client waits for an answer, and an
exception would end the server with all subscriptions and trend logs.
"""

import sys

_MOST_LINES = 50


class UpdateFaults:
    """Counts exceptions. The first one of each kind has a line on standard error."""

    def __init__(self) -> None:
        self.count = 0
        self._logged: set[str] = set()

    def report(self, part: str, error: Exception) -> None:
        """Count an exception. `part`: the object or the step that raised it."""
        self.count += 1
        line = f"coldloop northbound: bacnet: {part}: {error!r}"
        if line not in self._logged and len(self._logged) < _MOST_LINES:
            self._logged.add(line)
            print(line, file=sys.stderr, flush=True)
