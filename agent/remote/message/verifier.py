# SPDX-License-Identifier: Apache-2.0
"""Verification of a message in slices: format, target, signers, age, signatures.

Does not execute messages; see `agent.remote.manager`.

Cheap checks come first. Nothing changes before the last signature is verified. The order is that of
the checks below. `MessageVerification.step` does one slice, so that no tick waits.

Time. A message expires at the latest UTC that has certainly passed (`passed_utc_s`): the UTC of the
clock if it is trusted, otherwise the stored earliest UTC plus the time since. So a jammed receiver
does not make an expired message valid again. A message with a start time waits until the clock is
trusted. An untrusted clock neither accepts nor rejects a message.
"""

from agent.remote.message.header import EPOCH_S
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


class MessageVerification:
    """The verification of one message. The constructor and `step` raise `Rejection`.

    `passed_utc_s`: the latest UTC that has certainly passed, seconds since 1970.
    """

    def __init__(
        self, data: bytes, keyring: Keyring, context: VerifyContext, passed_utc_s: int
    ) -> None:
        envelope = _unpack_envelope(data)
        self.kind = envelope.kind
        self.message = _decode_body(self.kind, envelope.body)
        self._check_target(context)
        self.signers = [number for number, _ in envelope.signatures]
        self._check_signers(keyring, self.signers)
        self._check_age(context, passed_utc_s)
        text = self._signed_text(envelope, context)
        self._checks = [
            Verification(keyring.public_key(number) or b"", text, signature)
            for number, signature in envelope.signatures
        ]

    def _check_target(self, context: VerifyContext) -> None:
        group = self.message.group
        if group and group not in context.groups:
            raise Rejection("wrong_target", "group " + group)

    def _check_signers(self, keyring: Keyring, numbers: "list[int]") -> None:
        for number in numbers:
            if keyring.public_key(number) is None:
                raise Rejection("unknown_signer", "key %d" % number)
        if not keyring.is_sufficient(numbers, self.message.required_role()):
            raise Rejection("wrong_role")

    def _check_age(self, context: VerifyContext, passed_utc_s: int) -> None:
        counter, last_counter = self.message.counter, context.counters[self.kind - 1]
        if counter == last_counter:
            raise Rejection("replay")
        if counter < last_counter:
            raise Rejection("rollback", "counter %d after %d" % (counter, last_counter))
        base_version = getattr(self.message, "base_version", context.version)
        if base_version != context.version and not (
            self.message.group and base_version == ANY_BASE
        ):
            raise Rejection("wrong_base", "%d; here is %d" % (base_version, context.version))
        if self.message.expires_s <= passed_utc_s:
            raise Rejection("expired")

    def _signed_text(self, envelope: SignedMessage, context: VerifyContext) -> bytes:
        group = self.message.group
        target = "@" + group if group else context.target
        base_hash = context.base_hash if self.message.needs_base and not group else b""
        return build_signing_input(envelope.kind, target, base_hash, envelope.body)

    def step(self) -> bool:
        """Do one slice of the verification. Return True when all signatures are valid."""
        for check in self._checks:
            if check.valid is None:
                check.step()
                if check.valid is None:
                    return False
            if not check.valid:
                raise Rejection("bad_signature")
        self._checks = []
        return True


def start_verification(
    data: bytes, keys: "list[dict[str, Any]]", context: VerifyContext, utc_s: int
) -> MessageVerification:
    """Start to verify a message. `keys` as in the configuration; `utc_s` 0: unknown."""
    return MessageVerification(data, Keyring(keys), context, max(utc_s, EPOCH_S))


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
