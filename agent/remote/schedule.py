# SPDX-License-Identifier: Apache-2.0
"""A verified change that waits for its time.

Does not verify signatures; see `agent.remote.message.verifier`. A scheduled change is an ordinary
change: it is verified at its reception, and its target, signers, counter, base and expiry again
when it is due. So it is rejected if another change was accepted in between. A newer scheduled
change replaces an older one. The commands `cancel` and `rollback` drop it.

It is not stored. After a restart, the broker sends its retained message again.
"""

from agent.remote.message import canonical
from agent.remote.message.reject import Rejection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from agent.remote.message.command import SignedCommand
    from agent.remote.message.manifest import Manifest
    from agent.remote.message.patch import Patch
    from agent.remote.message.verifier import MessageVerification, VerifyContext
    from agent.remote.message_clock import MessageClock
    from agent.remote.storage.write_queue import RemoteHost

    class ActionQueue(Protocol):
        """The queue of messages as a scheduled change uses it."""

        def is_busy(self) -> bool:
            """Return whether a message is being verified or executed."""
            ...

        def act_on(self, verification: MessageVerification, now: int) -> None:
            """Act on a verified message whose time has come."""
            ...

    class ScheduleHost(RemoteHost, Protocol):
        """The remote manager as a scheduled change uses it."""

        message_clock: "MessageClock"

        @property
        def queue(self) -> "ActionQueue":
            """The queue of messages."""
            ...

        def accepted_keys(self) -> "list[dict[str, Any]]":
            """Return the keys of operators that are not suspended."""
            ...

        def reject(
            self,
            rejection: Rejection,
            message: "Patch | SignedCommand | Manifest | None" = None,
            signers: "list[int] | None" = None,
            now: int = 0,
        ) -> None:
            """Count and report a rejection."""
            ...

        def site_check(self) -> "Callable[[Any], None] | None":
            """Return the check of messages of a site key; None: such a key signs nothing here."""
            ...


class ScheduledChange:
    """The change of `manager` that waits, if there is one."""

    def __init__(self, manager: "ScheduleHost") -> None:
        self._manager = manager
        self._waiting: MessageVerification | None = None

    def counter(self) -> int:
        """Return the counter of the change, 0 without one."""
        return 0 if self._waiting is None else self._waiting.message.counter

    def add(self, verification: "MessageVerification", now: int) -> None:
        """Keep a change until its time, if it is newer than the waiting one."""
        message = verification.message
        if self.counter() >= message.counter:
            return  # the retained message of the broker, again
        self._waiting = verification
        self._manager.audit_entry(
            verification.signers, message.describe(), message.counter, "scheduled", now
        )
        self._manager.request_report()

    def cancel(self, now: int) -> None:
        """Drop the change. It is not accepted again."""
        manager = self._manager
        record = manager.boot.slots.mark_rejected(self.counter(), "cancelled")
        self._waiting = None
        manager.write_queue.write_records([record], now)
        manager.request_report()

    def tick(self, now: int) -> None:
        """Execute the change when it is due, if it is still valid then."""
        verification, manager = self._waiting, self._manager
        if verification is None or manager.write_queue.is_busy() or manager.queue.is_busy():
            return
        message = verification.message
        utc_s, passed_s = manager.trusted_utc_s(now), manager.message_clock.passed_s(now)
        if utc_s < message.not_before_s and passed_s < message.expires_s:
            return
        self._waiting = None
        manager.request_report()
        from agent.remote.message import keyring, verifier  # noqa: PLC0415 - see `agent.remote.module_unload`

        try:
            keys = keyring.Keyring(manager.accepted_keys())
            verification.check_age(keys, verify_context(manager, verifier), passed_s, utc_s)
        except Rejection as rejection:
            manager.reject(rejection, message, verification.signers, now)
            return
        manager.queue.act_on(verification, now)


def verify_context(manager: "ScheduleHost", verifier: "Any") -> "VerifyContext":
    """Return the data of the unit for the checks. `verifier`: the module, loaded when needed."""
    config, slots = manager.agent.config, manager.boot.slots
    context: VerifyContext = verifier.VerifyContext(
        config.site + "/" + config.unit,
        manager.settings.get("groups", []),
        slots.version,
        canonical.hash_config(manager.boot.config),
        slots.counters,
    )
    context.check_site = manager.site_check()
    return context
