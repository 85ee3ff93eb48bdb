# SPDX-License-Identifier: Apache-2.0
"""The interface of the controller under test in virtual time.

All implementations of `Dut` give the same outputs for the same inputs. `InProcessDut` runs the
agent in this process. Those of `hil.shells` and `hil.run` run it in a MicroPython process, on an
image in an emulator, or record its inputs. Each call returns the next deadline of the agent and the
actions that it requests from its ports.
"""

from collections.abc import Callable
from typing import Any, Protocol

from agent.agent import Agent
from agent.config.load import load
from agent.remote.update.boot import start_config
from hil.errors import BenchError
from hil.kernel.raise_in import inject

Actions = list[tuple[int, str, bytes]]
StepResult = tuple[int, Actions]


class Dut(Protocol):
    """A controller that the bench steps in virtual time."""

    def start(self, now: int) -> StepResult:
        """Start the controller."""

    def receive(self, port: int, data: bytes, now: int) -> StepResult:
        """Deliver bytes from a port."""

    def event(self, port: int, kind: str, now: int) -> StepResult:
        """Deliver an event of a port."""

    def wake(self, now: int) -> StepResult:
        """Tell the controller that its deadline has passed."""

    def inject(self, piece: str, call: int) -> None:
        """Make a piece of the agent raise at a call number; see `hil.kernel.raise_in`."""

    def close(self) -> None:
        """End the controller and release its resources."""


DutFactory = Callable[..., Dut]
"""Arguments: configuration, profiles, stored records (only for a unit with section `remote`)."""


class AgentDut:
    """An agent in the process of the bench, or one controller of a pair around it."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent

    def _step_result(self) -> StepResult:
        actions = self.agent.outbox()
        return self.agent.deadline(), actions

    def start(self, now: int) -> StepResult:
        """Start the controller."""
        self.agent.start(now)
        return self._step_result()

    def receive(self, port: int, data: bytes, now: int) -> StepResult:
        """Deliver bytes from a port."""
        agent = self.agent
        agent.receive(port, data, now)
        actions = agent.outbox()
        return agent.deadline(), actions

    def event(self, port: int, kind: str, now: int) -> StepResult:
        """Deliver an event of a port."""
        agent = self.agent
        agent.event(port, kind, now)
        actions = agent.outbox()
        return agent.deadline(), actions

    def wake(self, now: int) -> StepResult:
        """Tell the controller that its deadline has passed."""
        agent = self.agent
        agent.wake(now)
        actions = agent.outbox()
        return agent.deadline(), actions

    def inject(self, piece: str, call: int) -> None:
        """Make a piece of the agent raise at a call number. Raises BenchError if it is compiled."""
        try:
            inject(self.agent, piece, call)
        except AttributeError as error:
            raise BenchError(f"raise_in: {error}: compiled modules; run it without them") from error

    def close(self) -> None:
        """Do nothing: the agent holds no resource."""


class InProcessDut(AgentDut):
    """The agent in the process of the bench."""

    def __init__(
        self,
        config: dict[str, Any],
        profiles: dict[str, dict[str, Any]],
        records: dict[str, bytes] | None = None,
    ) -> None:
        """Build the agent; `records` is the store content of the section `remote`, if present."""
        if "remote" in config:
            stored_records = records or {}
            active_config, boot = start_config(
                config, stored_records.get, lambda changed: load(changed, profiles)
            )
            super().__init__(Agent(active_config, boot))
        else:
            super().__init__(Agent(load(config, profiles)))
