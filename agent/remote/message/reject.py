# SPDX-License-Identifier: Apache-2.0
"""Reject reasons of messages, each for a fault or an attack, and the counts of rejections.

Does not check messages; see `agent.remote.message.verifier`. The names of attacks are those of The
Update Framework and Uptane (replay, rollback, freeze).
"""

from protocols.time_units import SECOND

_REPORT_INTERVAL_US = 10 * SECOND
"""Shortest interval of reports about rejections. A flood of bad messages causes no traffic."""
_RECENT = 4
"""Refusals that the record for the servers of the site has: each one sends its own messages."""
_AUDIT_INTERVAL_US = 600 * SECOND
"""Shortest interval of audit entries about messages without a valid signature. They are counted in
one entry, so a flood of bad messages does not displace other entries."""

REJECT_REASONS = (
    "malformed",  # not a message of this format
    "too_large",  # longer than the limit
    "wrong_target",  # for another unit or group
    "unknown_signer",  # signed with an unknown key
    "wrong_role",  # the signer lacks the role, or the second signature is missing
    "replay",  # this message was accepted before
    "rollback",  # older than the last accepted message
    "ahead",  # its time is too far after the last one: it would use up the counters
    "wrong_base",  # made for another version of the configuration
    "expired",  # the time is over; holding a message back is a freeze attack
    "bad_signature",  # changed in transit, or for another unit or another base
    "not_yet",  # waits for its time
    "unknown_key",  # the parameter does not exist
    "out_of_range",  # the value is not valid in a configuration
    "too_big_step",  # the change is too large for one message
    "busy",  # another change is on trial
    "no_trial",  # nothing is on trial
    "unsupported",  # no component of this unit can do it
    "store",  # the change could not be stored
)


class Rejection(Exception):  # noqa: N818 - a verdict, not a fault
    """A rejected message. `reason` is one of `REJECT_REASONS`, `detail` explains it.

    `message`: its kind and counter, (0, 0) if it cannot be read.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason + (": " + detail if detail else ""))
        assert reason in REJECT_REASONS  # noqa: S101 - our own words
        self.reason = reason
        self.detail = detail
        self.message = (0, 0)


class RejectionLog:
    """Count, last rejection, and when to report them. `last`: reason and detail of the message
    `last_message`: kind and counter. `recent`: kind, counter, reason and detail of the last ones.
    """

    def __init__(self) -> None:
        self.count = 0
        self.last = ("", "")
        self.last_message = (0, 0)
        self.recent: list[tuple[int, int, str, str]] = []
        self._is_due = False
        self._report_at = 0
        self._unaudited = 0
        self._audit_at = 0

    def add(self, rejection: Rejection, audited: bool) -> None:
        """Count a rejection. `audited`: it has an audit entry of its own."""
        self.count += 1
        self.last = (rejection.reason, rejection.detail[:120])
        self.last_message = rejection.message
        if self.last_message[1]:
            self.recent = self.recent[1 - _RECENT :]
            self.recent.append(self.last_message + self.last)
        self._is_due = True
        self._unaudited += not audited

    def report_due(self, now: int) -> bool:
        """Return whether a rejection must be reported now."""
        return self._is_due and now >= self._report_at

    def on_reported(self, now: int) -> None:
        """Handle a report."""
        if self._is_due:
            self._report_at = now + _REPORT_INTERVAL_US
        self._is_due = False

    def audit_due(self, now: int) -> bool:
        """Return whether the rejections without an entry of their own need one now."""
        return self._unaudited > 0 and now >= self._audit_at

    def take_unaudited(self, now: int) -> "tuple[int, str]":
        """Return and clear their count, with the text of the last rejection."""
        count, self._unaudited = self._unaudited, 0
        self._audit_at = now + _AUDIT_INTERVAL_US
        return count, ": ".join(self.last).rstrip(": ")
