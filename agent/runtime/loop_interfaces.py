# SPDX-License-Identifier: Apache-2.0
"""Interfaces between the I/O loop, the agent and the platform, for the type checker only.

Does nothing at run time; see `agent.runtime.io_loop`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class AgentInterface(Protocol):
        """The interface of the agent."""

        def receive(self, port: int, data: bytes, now: int) -> None: ...  # noqa: D102
        def event(self, port: int, kind: str, now: int) -> None: ...  # noqa: D102
        def wake(self, now: int) -> None: ...  # noqa: D102
        def deadline(self) -> int: ...  # noqa: D102
        def outbox(self) -> "list[tuple[int, str, bytes]]": ...  # noqa: D102

    class PollerInterface(Protocol):
        """The platform: a clock, and a wait for watched ports until a deadline."""

        def clock(self) -> int: ...  # noqa: D102
        def wait(self, deadline: int) -> "list[int]": ...  # noqa: D102
        def wake(self) -> None: ...  # noqa: D102

        def watch(self, number: int, pollable: object, write: bool) -> None: ...  # noqa: D102
        def unwatch(self, number: int) -> None: ...  # noqa: D102
