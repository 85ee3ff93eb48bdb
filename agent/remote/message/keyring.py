"""The public keys a unit believes, each with its number and its role.

From the section `remote.keys` of the configuration: a change of them needs two signatures like any
other structure, so that a lost key is replaced by the holders of the others.
"""

from agent.core.tunable import LIMITS, OPERATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ROLES = (("operate", OPERATE), ("limits", LIMITS))


class Keyring:
    """Public keys by their number (0 to 255)."""

    def __init__(self, keys: "list[dict[str, Any]]") -> None:
        self._keys: dict[int, tuple[bytes, int]] = {}
        roles = dict(ROLES)
        for key in keys:
            self._keys[key["number"]] = (bytes.fromhex(key["public"]), roles[key["role"]])

    def public_key(self, number: int) -> "bytes | None":
        """Give the public key of a number, None when it is not known."""
        key = self._keys.get(number)
        return None if key is None else key[0]

    def is_sufficient(self, numbers: "list[int]", role: int) -> bool:
        """Say whether signatures by these keys are enough for what needs `role`.

        `OPERATE`: any one key. `LIMITS`: two different keys, one of them with that role.
        """
        public_keys = []
        roles = []
        for number in numbers:
            key = self._keys.get(number)
            if key is not None and key[0] not in public_keys:
                public_keys.append(key[0])
                roles.append(key[1])
        if role == OPERATE:
            return bool(roles)
        return len(public_keys) >= 2 and LIMITS in roles
