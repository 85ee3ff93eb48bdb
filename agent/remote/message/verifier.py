"""Who may pass: a message is read, placed, dated and at last verified, in slices.

What costs nothing comes first, and nothing is changed before the last signature has been verified.
The order is that of the checks below; `Examination.step` does one slice of the verification, so
that no tick waits for it.

Time. A message expires by the latest UTC that has certainly passed (`since_s`: the clock's own when
it is trusted, else the persisted floor plus the time since), so that a jammed receiver does not
bring an old message back to life. It waits for its moment until the clock is trusted: a clock that
is not neither locks the door nor opens it.
"""

from agent.remote.message.header import EPOCH_S
from agent.remote.message.keyring import Keyring
from agent.remote.message.reject import Refusal
from protocols.errors import DecodeError
from protocols.signed_message import COMMAND, LONGEST, PATCH, Envelope, signed_text, unpack
from protocols.signing.ed25519 import Verification

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.remote.message.command import Command
    from agent.remote.message.manifest import Manifest
    from agent.remote.message.patch import Patch

ANY_BASE = 0
"""Base version of a message to a group: each unit of it has another base, and checks the result."""


class Place:
    """What the unit knows: who it is, what it runs, what it accepted last."""

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
        """The last accepted of each kind, in the order of `protocols.signed_message.KINDS`."""


class Examination:
    """One message on its way through the gate; the constructor and `step` raise `Refusal`.

    `since_s`: the latest UTC, in seconds since 1970, that has certainly passed.
    """

    def __init__(self, data: bytes, keyring: Keyring, place: Place, since_s: int) -> None:
        envelope = _opened(data)
        self.kind = envelope.kind
        self.message = _read(self.kind, envelope.body)
        self._check_target(place)
        self.who = [number for number, _ in envelope.signatures]
        self._check_signers(keyring, self.who)
        self._check_age(place, since_s)
        text = self._signed_text(envelope, place)
        self._checks = [
            Verification(keyring.public(number) or b"", text, signature)
            for number, signature in envelope.signatures
        ]

    def _check_target(self, place: Place) -> None:
        group = self.message.group
        if group and group not in place.groups:
            raise Refusal("wrong_target", "group " + group)

    def _check_signers(self, keyring: Keyring, numbers: "list[int]") -> None:
        for number in numbers:
            if keyring.public(number) is None:
                raise Refusal("unknown_signer", "key %d" % number)
        if not keyring.satisfied(numbers, self.message.role()):
            raise Refusal("wrong_role")

    def _check_age(self, place: Place, since_s: int) -> None:
        counter, last = self.message.counter, place.counters[self.kind - 1]
        if counter == last:
            raise Refusal("replay")
        if counter < last:
            raise Refusal("rollback", "counter %d after %d" % (counter, last))
        base = getattr(self.message, "base_version", place.version)
        if base != place.version and not (self.message.group and base == ANY_BASE):
            raise Refusal("wrong_base", "%d; here is %d" % (base, place.version))
        if self.message.expires_s <= since_s:
            raise Refusal("expired")

    def _signed_text(self, envelope: Envelope, place: Place) -> bytes:
        group = self.message.group
        target = "@" + group if group else place.target
        base = place.base_hash if self.message.needs_base and not group else b""
        return signed_text(envelope.kind, target, base, envelope.body)

    def step(self) -> bool:
        """Do one slice of the verification; True once every signature is good."""
        for check in self._checks:
            if check.valid is None:
                check.step()
                if check.valid is None:
                    return False
            if not check.valid:
                raise Refusal("bad_signature")
        self._checks = []
        return True


def examine(data: bytes, keys: "list[dict[str, Any]]", place: Place, utc_s: int) -> Examination:
    """Begin to look at a message; `keys` as the configuration has them, `utc_s` 0: not known."""
    return Examination(data, Keyring(keys), place, max(utc_s, EPOCH_S))


def _read(kind: int, body: bytes) -> "Patch | Command | Manifest":
    """Read a body with the code for its kind alone; see `agent.remote.module_unload`."""
    if kind == PATCH:
        from agent.remote.message import patch  # noqa: PLC0415

        return patch.read(body)
    if kind == COMMAND:
        from agent.remote.message import command  # noqa: PLC0415

        return command.read(body)
    from agent.remote.message import manifest  # noqa: PLC0415

    return manifest.read(body)


def _opened(data: bytes) -> Envelope:
    if len(data) > LONGEST:
        raise Refusal("too_large", "%d bytes" % len(data))
    try:
        return unpack(data)
    except DecodeError as error:
        raise Refusal("malformed", str(error))
