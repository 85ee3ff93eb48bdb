"""The register maps by name, each read only when it is asked for.

Not a cache: what was read is forgotten, and `agent.core.config_records` keeps what it compiles. A
small controller holds one map in memory at a time so, not all of them.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class ProfileFiles:
    """Looks like a dict of parsed profiles; `read` gives the one with a name of `names`.

    `checked`: they came with an application whose hash is right, and whoever built that has held
    them against every rule.
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
