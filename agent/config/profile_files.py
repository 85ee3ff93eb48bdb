# SPDX-License-Identifier: Apache-2.0
"""Device profiles by name. A profile is read only when it is requested.

Does not cache: `agent.core.config_records` keeps the compiled profiles. A board thus holds one
parsed profile in memory at a time.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class ProfileFiles:
    """A read-only mapping from profile names to parsed profiles. `read` parses the profile of a
    name in `names`.

    `checked`: the profiles belong to an application with a verified hash. Its build checked them
    against all rules.
    """

    def __init__(
        self, names: "list[str]", read: "Callable[[str], dict[str, Any]]", checked: bool = False
    ) -> None:
        self.checked = checked
        self._names = names
        self._read = read

    def __iter__(self) -> "Iterator[str]":
        return iter(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> "dict[str, Any]":
        return self._read(name)
