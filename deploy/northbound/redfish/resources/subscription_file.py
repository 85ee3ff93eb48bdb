# SPDX-License-Identifier: Apache-2.0
"""The subscriptions of pushes in a file, so that they last over a restart of the server.

Does not deliver; see `deploy.northbound.redfish.event_push`. A receiver does not see a restart: it
would wait for events that never come. The file is private, because it has the headers of the
subscribers. It also has the last event that each one has, so the events of before the restart that
are still in the log follow. A damaged file is left out. A subscription whose user has no right to
subscribe any more is left out, too.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.northbound.redfish.resource import COMPONENTS, PRIVILEGES
from deploy.northbound.redfish.resources.events import EventResources
from deploy.ops.private_file import StateFile, load_state


class SubscriptionFile:
    """Loads and saves the subscriptions. `role_of`: the role of an account now, "" without one."""

    def __init__(self, path: Path, events: EventResources, role_of: Callable[[str], str]) -> None:
        self._path, self._events, self._role_of = path, events, role_of
        self._file = StateFile(path)

    def load(self) -> None:
        """Restore the subscriptions; after the log of events has its file."""
        load_state(self._path, self._restore, None)

    def _restore(self, content: dict[str, Any]) -> None:
        entries = [entry for entry in content["subscriptions"] if self._may_subscribe(entry)]
        self._events.restore(int(content["next"]), entries)

    def _may_subscribe(self, entry: dict[str, Any]) -> bool:
        return COMPONENTS in PRIVILEGES.get(self._role_of(str(entry["user"])), ())

    def save(self) -> None:
        """Begin the deliveries, then write what has changed; in the event loop."""
        self._events.start_restored()
        number, entries = self._events.kept()
        content = {"next": number, "subscriptions": entries}
        self._file.write(json.dumps(content, separators=(",", ":")))
