"""The controller under test, as the bench's virtual shells see it.

Two of them give the same answers: `InProcessDut` turns the agent in this process;
`hil.shells.lockstep` turns it in a MicroPython process over a pipe. Every turn returns what the
agent then wants: its next deadline and what it asks of its ports.
"""

from collections.abc import Callable
from typing import Any, Protocol

from agent.agent import Agent
from agent.config.load import load
from agent.remote.update.boot import start_config

Actions = list[tuple[int, str, bytes]]
StepResult = tuple[int, Actions]


class Dut(Protocol):
    """A controller whose crank can be turned in virtual time."""

    def start(self, now: int) -> StepResult:
        """Begin."""

    def receive(self, port: int, data: bytes, now: int) -> StepResult:
        """Deliver bytes."""

    def event(self, port: int, kind: str, now: int) -> StepResult:
        """Deliver an event of a port."""

    def wake(self, now: int) -> StepResult:
        """Say that the deadline has passed."""

    def close(self) -> None:
        """End it."""


DutFactory = Callable[..., Dut]
"""Called with configuration and profiles, and the records of a unit that takes changes."""


class InProcessDut:
    """The agent in this process."""

    def __init__(
        self,
        config: dict[str, Any],
        profiles: dict[str, dict[str, Any]],
        records: dict[str, bytes] | None = None,
    ) -> None:
        """Start with `records` in the store of the section `remote`, where there is one."""
        if "remote" in config:
            stored_records = records or {}
            active_config, boot = start_config(
                config, stored_records.get, lambda changed: load(changed, profiles)
            )
            self.agent = Agent(active_config, boot)
        else:
            self.agent = Agent(load(config, profiles))

    def _step_result(self) -> StepResult:
        actions = self.agent.outbox()
        return self.agent.deadline(), actions

    def start(self, now: int) -> StepResult:
        """Begin."""
        self.agent.start(now)
        return self._step_result()

    def receive(self, port: int, data: bytes, now: int) -> StepResult:
        """Deliver bytes."""
        self.agent.receive(port, data, now)
        return self._step_result()

    def event(self, port: int, kind: str, now: int) -> StepResult:
        """Deliver an event of a port."""
        self.agent.event(port, kind, now)
        return self._step_result()

    def wake(self, now: int) -> StepResult:
        """Say that the deadline has passed."""
        self.agent.wake(now)
        return self._step_result()

    def close(self) -> None:
        """Nothing to end: the agent holds no resource."""
