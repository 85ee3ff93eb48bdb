# SPDX-License-Identifier: Apache-2.0
"""Records of access and of writes that all protocols use.

Does not decide; see `deploy.northbound.access.accounts` (logins) and
`deploy.northbound.access.writes` (changes and commands).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

READ_ONLY, OPERATOR, ADMINISTRATOR = "ReadOnly", "Operator", "Administrator"
ROLES = (READ_ONLY, OPERATOR, ADMINISTRATOR)
"""Predefined roles of Redfish, from least to most rights."""

OTHER_TRIAL = "another change is on trial now"
"""Reason of a rollback that is refused because the user has seen another trial."""


@dataclass(frozen=True, slots=True)
class AccountProof:
    """A login that a request has proved: the account `user` when it had `changes` changes."""

    user: str
    changes: int


@dataclass(frozen=True, slots=True)
class Session:
    """A login. `token`: secret of the session. `must_change`: only a new password is permitted.

    `changes`: number of changes of the account at the login.
    """

    id: str
    user: str
    role: str
    address: str
    token: str
    must_change: bool = False
    changes: int = 0

    @property
    def proof(self) -> AccountProof:
        """Return what the login has proved."""
        return AccountProof(self.user, self.changes)

    def may(self, role: str) -> bool:
        """Return whether the role of the session includes `role`; nothing with `must_change`."""
        return not self.must_change and ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused request. `retry_s`: time after which a new attempt has a chance, 0: none.

    `storage`: the state folder cannot store the change; nothing has changed.
    """

    reason: str
    retry_s: int = 0
    storage: bool = False


@dataclass(frozen=True, slots=True)
class SetPointChange:
    """A change of a set-point: `raw` value of the point `key` of the table."""

    key: str
    raw: int


@dataclass(frozen=True, slots=True)
class UnitCommand:
    """A command of the agent, for example `acknowledge`, with its arguments."""

    name: str
    arguments: Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Submission:
    """A change or command on its way to the agent."""

    id: str


@dataclass(frozen=True, slots=True)
class TrialChange:
    """A change that the unit has on trial. `counter`: of its message. `change` None: not known.

    `protocol`: of its user; "": operators. `user` "": not known.
    """

    counter: int
    change: SetPointChange | None = None
    protocol: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """State of a submission: pending, trial, confirmed (a command: done), refused, rolled_back."""

    state: str
    reason: str = ""


class WriteAccess(Protocol):
    """The way from a protocol to the agent; `deploy.northbound.access.writes` implements it."""

    def permitted(self, request: SetPointChange | UnitCommand) -> Refusal | None:
        """Return why the configuration does not permit the request; None: it does."""
        ...

    def submit(
        self, request: SetPointChange | UnitCommand, user: str, address: str, protocol: str
    ) -> Submission | Refusal:
        """Send a request to the agent and record it in the audit log."""
        ...

    def result(self, submission: str) -> Outcome | None:
        """Return the state of a submission; None: there is no such submission."""
        ...

    def roll_back(
        self,
        user: str,
        address: str,
        protocol: str,
        submission: str = "",
        *,
        any_user: bool,
        shown: int = 0,
    ) -> Submission | Refusal:
        """Roll back the change on trial: of `submission`, or "": the trial of the site.

        `any_user`: also the change of another user. `shown`: the trial that the user has seen.
        """
        ...

    def change_on_trial(self) -> TrialChange | None:
        """Return what the unit tries, of whomever; None: nothing is on trial."""
        ...

    def support(self, change: SetPointChange, user: str, protocol: str) -> None:
        """Note that a user repeats the value in force: a decision that needs no message."""
        ...

    def is_shared(self, change: SetPointChange, protocol: str) -> bool:
        """Return whether a user of another protocol has decided on this value, too."""
        ...


class AuditSink(Protocol):
    """The audit log; `deploy.northbound.access.audit` implements it."""

    def record(
        self, user: str, address: str, protocol: str, action: str, target: str, result: str
    ) -> None:
        """Append an entry. Never raises; floods are counted."""
        ...

    def record_session(
        self, user: str, address: str, protocol: str, action: str, target: str, result: str
    ) -> None:
        """Append an entry on a session, or of an account that can only read. Never raises."""
        ...


class FakeWriter:
    """A `WriteAccess` for tests. `refusal` None: each request is permitted and pending."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        self.refusal = refusal
        self.requests: list[tuple[SetPointChange | UnitCommand, str, str, str]] = []
        self.results: dict[str, Outcome] = {}
        self.supported: list[tuple[SetPointChange, str, str]] = []
        self.shared: set[SetPointChange] = set()
        self.trial: TrialChange | None = None

    def permitted(self, request: SetPointChange | UnitCommand) -> Refusal | None:
        """Return `refusal`."""
        return self.refusal

    def submit(
        self, request: SetPointChange | UnitCommand, user: str, address: str, protocol: str
    ) -> Submission | Refusal:
        """Keep the request."""
        if self.refusal is not None:
            return self.refusal
        self.requests.append((request, user, address, protocol))
        submission = Submission(str(len(self.requests)))
        self.results[submission.id] = Outcome("pending")
        return submission

    def result(self, submission: str) -> Outcome | None:
        """Return the kept result."""
        return self.results.get(submission)

    def roll_back(
        self,
        user: str,
        address: str,
        protocol: str,
        submission: str = "",
        *,
        any_user: bool,
        shown: int = 0,
    ) -> Submission | Refusal:
        """Keep the request as a command."""
        arguments: dict[str, int | str] = {"of": submission, "any_user": int(any_user)}
        if shown:
            arguments["shown"] = shown
        return self.submit(UnitCommand("rollback", arguments), user, address, protocol)

    def change_on_trial(self) -> TrialChange | None:
        """Return `trial`."""
        return self.trial

    def support(self, change: SetPointChange, user: str, protocol: str) -> None:
        """Keep the decision."""
        self.supported.append((change, user, protocol))

    def is_shared(self, change: SetPointChange, protocol: str) -> bool:
        """Return whether the value is in `shared`."""
        return change in self.shared


class FakeAudit:
    """An `AuditSink` for tests."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str, str, str, str]] = []

    def record(
        self, user: str, address: str, protocol: str, action: str, target: str, result: str
    ) -> None:
        """Keep the entry."""
        self.entries.append((user, address, protocol, action, target, result))

    def record_session(
        self, user: str, address: str, protocol: str, action: str, target: str, result: str
    ) -> None:
        """Keep the entry."""
        self.record(user, address, protocol, action, target, result)
