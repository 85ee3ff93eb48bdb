# SPDX-License-Identifier: Apache-2.0
"""Public keys that the unit accepts, each with its number and role.

Does not verify signatures; see `agent.remote.message.verifier`. The keys come from the section
`remote.keys` of the configuration. A change of the keys counts as structure and needs two
signatures. So the holders of the other keys can replace a lost one.
"""

from agent.core.tunable import LIMITS, OPERATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SITE = 0
"""Role of a key at the unit itself. It is never sufficient here; `agent.northbound.site_writes`
has its limits."""
ROLES = (("operate", OPERATE), ("limits", LIMITS), ("site", SITE))
"""Name of a role in the configuration, and its number."""


class Keyring:
    """Public keys by their number (0 to 255)."""

    def __init__(self, keys: "list[dict[str, Any]]") -> None:
        self._keys: dict[int, tuple[bytes, int]] = {}  # number: public key, role
        roles = dict(ROLES)
        for key in keys:
            self._keys[key["number"]] = (bytes.fromhex(key["public"]), roles[key["role"]])

    def public_key(self, number: int) -> "bytes | None":
        """Return the public key of a number, None if it is unknown."""
        key = self._keys.get(number)
        return None if key is None else key[0]

    def is_sufficient(self, numbers: "list[int]", role: int) -> bool:
        """Return whether signatures with these keys are sufficient for `role`.

        `OPERATE`: any one key. `LIMITS`: two different keys, one of them with that role. A key
        with the role `SITE` does not count.
        """
        public_keys = []
        roles = []
        for number in numbers:
            key = self._keys.get(number)
            if key is not None and key[1] != SITE and key[0] not in public_keys:
                public_keys.append(key[0])
                roles.append(key[1])
        if role == OPERATE:
            return bool(roles)
        return len(public_keys) >= 2 and LIMITS in roles

    def is_site(self, numbers: "list[int]") -> bool:
        """Return whether all signatures are those of site keys."""
        return bool(numbers) and all(
            number in self._keys and self._keys[number][1] == SITE for number in numbers
        )


def has_quorum(keys: "list[dict[str, Any]]") -> bool:
    """Return whether all keys together have the role `LIMITS`: two keys."""
    return Keyring(keys).is_sufficient([key["number"] for key in keys], LIMITS)
