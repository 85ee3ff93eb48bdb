# SPDX-License-Identifier: Apache-2.0
"""What the file of a relay has about its session at the broker, and about relays beside it.

Does not connect. A broker keeps the subscriptions of a session too, and no client can list them. A
session of another group would take messages of that group for this one. So a relay goes on with a
session only if this file has made it, with the same subscriptions; else it drops it. The note is
stored after the broker has accepted the first connection, which has dropped the earlier session.
"""

import json
import secrets
import sqlite3
from contextlib import suppress

from deploy.errors import DeployError
from deploy.relay.mqtt.broker_client import check_broker
from deploy.relay.options import RelayOptions
from deploy.relay.records.database import RelayDatabase
from deploy.relay.records.name_lock import NameLock, is_used

ROOT = "coldloop/v1"
_GROUP = "session group"
_SESSION = "session"
_IDENT = "subscriptions"
_MOST_IDENT = (1 << 28) - 1
"""SOURCE: MQTT 5, 3.8.2.1.2."""


def session_name(options: RelayOptions) -> str:
    """Return the client identifier of the connection for the units."""
    return f"coldloop-relay-{options.name}"


def subscriptions(options: RelayOptions) -> list[str]:
    """Return the topics of the session; the first one is shared by the relays of the group."""
    shared = f"$share/{options.group}/{ROOT}/+/+/tele"
    return [shared, f"{ROOT}/+/+/state", f"{ROOT}/+/+/cfg/reported"]


class SessionNote:
    """The session of the relay with `options`, in `database`."""

    def __init__(self, options: RelayOptions, database: RelayDatabase) -> None:
        broker = options.broker
        identity = (broker.name(), broker.username, broker.certificate, options.sends_receipts)
        self._text = json.dumps([*identity, *subscriptions(options)])
        self._options = options
        self._database = database

    def check_group(self) -> None:
        """Raise DeployError if a relay of another group uses the file.

        Each message comes to both groups, and one file takes it once only: the outputs of each
        group would have a part.
        """
        options = self._options
        self._database.store_state(_GROUP, options.group)
        for name, group in self._others():
            if group not in ("", options.group):
                raise DeployError(
                    f"{options.store}: relay {name} of group {group} uses it; "
                    f"group {options.group} needs a --store of its own"
                )

    def subscription_ident(self) -> int:
        """Return the identifier of the subscriptions of this name and this file.

        Another file has another one, so a relay sees whose subscription a message is of. 0: the
        file cannot be read or written now.
        """
        with suppress(sqlite3.Error):
            stored = self._database.load_state(_IDENT).get(_IDENT, "")
            if not stored.isdecimal():
                stored = str(1 + secrets.randbelow(_MOST_IDENT))
                self._database.store_state(_IDENT, stored)
            return int(stored)
        return 0

    def can_resume(self) -> bool:
        """Return whether the session that the broker can have is one of this file."""
        with suppress(sqlite3.Error):
            return self._database.load_state(_SESSION).get(_SESSION) == self._text
        return False

    def keep(self) -> None:
        """Note that the broker has the session. An error costs only the session."""
        if not self.can_resume():
            with suppress(sqlite3.Error):
                self._database.store_state(_SESSION, self._text)

    def remove(self) -> None:
        """Note that the session has ended."""
        with suppress(sqlite3.Error), self._database.transaction():
            self._database.remove_state(_SESSION)

    def has_others(self) -> bool:
        """Return whether another relay uses the file now."""
        with suppress(sqlite3.Error):
            return bool(self._others())
        return False

    def _others(self) -> list[tuple[str, str]]:
        """Return names and groups of the other relays that run now; "": the group is unknown."""
        rows = self._database.query(
            "SELECT DISTINCT position.relay, COALESCE(state.text, '') FROM position"
            " LEFT JOIN state ON state.relay=position.relay AND state.key=?"
            " WHERE position.relay<>?"
            " UNION SELECT relay, text FROM state WHERE key=? AND relay<>?",
            *(_GROUP, self._database.relay, _GROUP, self._database.relay),
        )
        return [(name, group) for name, group in rows if is_used(self._options.store, name)]


def end_session(options: RelayOptions) -> int:
    """End the session of a relay that does not run; return how many of its records wait.

    Raises DeployError if a process uses the name, if the file is no store, if the broker is away.
    """
    path, name = options.store, options.name
    lock = NameLock(path, name)
    try:
        check_broker(options.broker, session_name(options))  # a clean session replaces the kept one
        if not path.exists():
            return 0
        database = RelayDatabase(path, name)
        try:
            with database.transaction():
                database.remove_state(_SESSION)
            return database.count_outbox(0)
        finally:
            database.close()
    except sqlite3.Error as error:
        raise DeployError(f"{path}: {error}") from None
    finally:
        lock.release()
