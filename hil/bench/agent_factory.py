# SPDX-License-Identifier: Apache-2.0
"""Interface of an agent that runs on a board or an emulated board, and of its factory.

Does not contain such an agent; see `hil.run.dut_qemu`. A bench takes the factory as an argument.
Therefore `hil.run.real_bench` imports no module of such an agent.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from hil.bench.testbed import Testbed
from hil.io.real_ports import PtyPort
from hil.kernel.world import World
from hil.shells.realtime import RealTimeShell


class AgentBench(Protocol):
    """The attributes of a real-time bench that an agent on a board uses."""

    world: World
    shell: RealTimeShell
    testbed: Testbed
    receiver: PtyPort
    bus: PtyPort
    folder: Path
    ports: dict[str, str]


class BoardAgent(Protocol):
    """An agent on a board; `status` is the last status that it sent, or None."""

    status: dict[str, Any] | None

    def config(self) -> dict[str, Any]:
        """Write the configuration for the ports of the board."""

    def command(self) -> list[str]:
        """Return the command that starts the board; the caller appends the configuration file."""

    def close(self) -> None:
        """Close the ports between bench and board."""


AgentFactory = Callable[[AgentBench], BoardAgent]
