# SPDX-License-Identifier: Apache-2.0
"""`python -m hil.run.unit.traced_agent TRACE CONFIG`: the agent, with a trace of its writes.

Not another agent: it is `coldloop agent --config CONFIG`, whose ports are opened by
`hil.io.write_trace`. It also reads the names of the devices again each two seconds: a device can be
exchanged in a run. If the trace cannot be opened, the agent does not start: a trace without writes
would say that there were none.
"""

import sys
from pathlib import Path

from agent.agent import Agent
from agent.commands import run_agent
from agent.redundancy.paired_agent import PairedAgent
from agent.runtime.cpython import OPENERS, monotonic
from hil.io.write_trace import WriteTrace
from protocols.time_units import SECOND

_STORE = "/var/lib/coldloop"
_PERIOD_US = 2 * SECOND


class IdentityWatch:
    """Lets the agent read the identity of its devices again, each two seconds."""

    def __init__(self) -> None:
        self._due_at = 0

    def __call__(self, controller: Agent | PairedAgent) -> None:
        """Read the identities if it is time; of a pair, nothing."""
        now = monotonic()
        if isinstance(controller, Agent) and now >= self._due_at:
            self._due_at = now + _PERIOD_US
            for session in controller.fieldbus.sessions:
                session.reidentify()


def main(trace: str, config: str) -> int:
    """Run the agent until SIGTERM or SIGINT; return its exit code."""
    try:
        openers = WriteTrace(Path(trace)).openers(OPENERS)
    except OSError as error:
        print(f"{trace}: {error.strerror}; the agent was not started", file=sys.stderr)
        return 2
    return run_agent(config, _STORE, openers, IdentityWatch())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
