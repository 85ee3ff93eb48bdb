# SPDX-License-Identifier: Apache-2.0
"""Verification of a message in slices: format, target, signers, age, signatures.

Does not execute messages; see `agent.remote.manager`.

Cheap checks come first. Nothing changes before the last signature is verified. The order is that of
the checks below. `MessageVerification.step` does one slice, so that no tick waits.

Time. A message expires at the latest UTC that has certainly passed (`passed_utc_s`): the UTC of the
clock if it is trusted, otherwise the time since the last accepted message (see
`agent.remote.message_clock`). So a jammed receiver does not make an expired message valid again. A
message with a start time waits until the clock is trusted; then all checks of its age are repeated.

Counters. `agent.remote.message.counter` has the rules. A message that opens an epoch is compared
with trusted UTC only: a false time of an earlier message must not lock the unit.
"""

from agent.core.tunable import LIMITS
from agent.remote.message.counter import epoch_of, seconds_of
from agent.remote.message.header import EPOCH_S, MAX_AHEAD_S, SITE_AHEAD_S, UNDATED_AHEAD_S
from agent.remote.message.keyring import Keyring
from agent.remote.message.reject import Rejection
from protocols.errors import DecodeError
from protocols.signed_message import (
    COMMAND,
    MAX_BYTES,
    PATCH,
    SignedMessage,
    build_signing_input,
    unpack,
)
from protocols.signing.ed25519 import Verification

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.remote.message.command import SignedCommand
    from agent.remote.message.manifest import Manifest
    from agent.remote.message.patch import Patch

ANY_BASE = 0
"""Base version of a message to a group. Each unit has another base and checks the result."""


class VerifyContext:
    """Data of the unit for the checks: target, configuration, last accepted counters."""

    def __init__(
        self,
        target: str,
        groups: "list[str]",
        version: int,
        base_hash: bytes,
        counters: "list[int]",
    ) -> None:
        self.target = target
        self.groups = groups
        self.version = version
        self.base_hash = base_hash
        self.counters = counters
        """Last accepted counter of each kind, in the order of `protocols.signed_message.KINDS`."""
        self.check_site: Callable[[Any], None] | None = None
        """Raises `Rejection` if a site key cannot sign a message; None: it signs nothing."""


class MessageVerification:
    """The verification of one message. The constructor and `step` raise `Rejection`.

    `passed_utc_s`: the latest UTC that has certainly passed, seconds since 1970. `utc_s`: trusted
    UTC, 0 without it.
    """

    def __init__(
        self,
        data: bytes,
        keyring: Keyring,
        context: VerifyContext,
        passed_utc_s: int,
        utc_s: int = 0,
    ) -> None:
        envelope = _unpack_envelope(data)
        self.kind = envelope.kind
        self.message = _decode_body(self.kind, envelope.body)
        self.signers = [number for number, _ in envelope.signatures]
        self._base_hash = context.base_hash
        self.is_site = keyring.is_site(self.signers)
        self.has_quorum = False
        """The signers have the role `LIMITS`: two keys."""
        try:
            self.check_age(keyring, context, passed_utc_s, utc_s)
        except Rejection as rejection:
            rejection.message = (self.kind, self.message.counter)
            raise
        text = self._signed_text(envelope, context)
        self._checks = [
            Verification(keyring.public_key(number) or b"", text, signature)
            for number, signature in envelope.signatures
        ]

    def _check_target(self, context: VerifyContext) -> None:
        group = self.message.group
        if group and group not in context.groups:
            raise Rejection("wrong_target", "group " + group)

    def _check_signers(
        self, keyring: Keyring, numbers: "list[int]", check_site: "Callable[[Any], None] | None"
    ) -> None:
        for number in numbers:
            if keyring.public_key(number) is None:
                raise Rejection("unknown_signer", "key %d" % number)
        if self.is_site and check_site is not None:
            check_site(self.message)
        elif not keyring.is_sufficient(numbers, self.message.required_role()):
            raise Rejection("wrong_role")

    def check_age(
        self, keyring: Keyring, context: VerifyContext, passed_utc_s: int, utc_s: int
    ) -> None:
        """Check target, signers, counter, base, expiry. A scheduled change is checked twice."""
        self._check_target(context)
        self._check_signers(keyring, self.signers, context.check_site)
        self.has_quorum = keyring.is_sufficient(self.signers, LIMITS)
        counter, last_counter = self.message.counter, context.counters[self.kind - 1]
        if counter == last_counter:
            raise Rejection("replay")
        if counter < last_counter:
            raise Rejection("rollback", "counter %d after %d" % (counter, last_counter))
        if epoch_of(counter) != epoch_of(last_counter):
            self._check_epoch(keyring, last_counter)
            passed_utc_s = utc_s or EPOCH_S
        self._check_ahead(passed_utc_s, utc_s)
        self._check_base(context)
        if self.message.expires_s <= passed_utc_s:
            raise Rejection("expired")

    def _check_epoch(self, keyring: Keyring, last_counter: int) -> None:
        if epoch_of(self.message.counter) != epoch_of(last_counter) + 1:
            raise Rejection("ahead", "the next epoch is %d" % (epoch_of(last_counter) + 1))
        if not keyring.is_sufficient(self.signers, LIMITS):
            raise Rejection("wrong_role", "a new epoch needs two signatures")

    def _check_ahead(self, passed_utc_s: int, utc_s: int) -> None:
        """Bound the counter. Without UTC the first message of an epoch has no bound.

        A site key has a small one: it must not keep the messages of operators out for a day.
        """
        ahead_s = EPOCH_S + seconds_of(self.message.counter) - passed_utc_s
        limit_s = MAX_AHEAD_S if utc_s else UNDATED_AHEAD_S
        if self.is_site and ahead_s > SITE_AHEAD_S:
            raise Rejection("ahead", "%d s; at most %d" % (ahead_s, SITE_AHEAD_S))
        if ahead_s > limit_s and (utc_s or passed_utc_s > EPOCH_S):
            raise Rejection("ahead", "%d s; at most %d" % (ahead_s, limit_s))

    def _check_base(self, context: VerifyContext) -> None:
        base_version = getattr(self.message, "base_version", context.version)
        has_any_base = bool(self.message.group) and base_version == ANY_BASE
        if base_version != context.version and not has_any_base:
            raise Rejection("wrong_base", "%d; here is %d" % (base_version, context.version))
        has_one_base = self.message.needs_base and not self.message.group
        if has_one_base and self._base_hash != context.base_hash:
            raise Rejection("wrong_base", "the configuration has changed")

    def _signed_text(self, envelope: SignedMessage, context: VerifyContext) -> bytes:
        group = self.message.group
        target = "@" + group if group else context.target
        base_hash = context.base_hash if self.message.needs_base and not group else b""
        return build_signing_input(envelope.kind, target, base_hash, envelope.body)

    def step(self, is_small: bool = False) -> bool:
        """Do one slice of the verification. Return True when all signatures are valid.

        `is_small`: a part of it, for a board.
        """
        for check in self._checks:
            if check.valid is None:
                check.step(is_small)
                if check.valid is None:
                    return False
            if not check.valid:
                rejection = Rejection("bad_signature")
                rejection.message = (self.kind, self.message.counter)
                raise rejection
        self._checks = []
        return True


def start_verification(
    data: bytes,
    keys: "list[dict[str, Any]]",
    context: VerifyContext,
    utc_s: int,
    passed_s: int = 0,
) -> MessageVerification:
    """Start to verify a message. `keys` as in the configuration; `utc_s` 0: unknown.

    `passed_s`: the latest UTC that has certainly passed, if UTC is unknown.
    """
    return MessageVerification(data, Keyring(keys), context, max(utc_s or passed_s, EPOCH_S), utc_s)


def _decode_body(kind: int, body: bytes) -> "Patch | SignedCommand | Manifest":
    """Decode a body. Only the code of its kind is loaded; see `agent.remote.module_unload`."""
    if kind == PATCH:
        from agent.remote.message import patch  # noqa: PLC0415

        return patch.decode_patch(body)
    if kind == COMMAND:
        from agent.remote.message import command  # noqa: PLC0415

        return command.decode_command(body)
    from agent.remote.message import manifest  # noqa: PLC0415

    return manifest.decode_manifest(body)


def _unpack_envelope(data: bytes) -> SignedMessage:
    if len(data) > MAX_BYTES:
        raise Rejection("too_large", "%d bytes" % len(data))
    try:
        return unpack(data)
    except DecodeError as error:
        raise Rejection("malformed", str(error))
