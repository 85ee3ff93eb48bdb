# SPDX-License-Identifier: Apache-2.0
"""`python -m hil.run.unit.traced_agent TRACE CONFIG`: the agent, with a trace of its writes.

Not another agent: it is `coldloop agent --config CONFIG`, whose ports are opened by
`hil.io.write_trace`. If the trace cannot be opened, the agent runs without it.
"""

import sys
from pathlib import Path

from agent.commands import run_agent
from agent.runtime.cpython import OPENERS
from hil.io.write_trace import WriteTrace

_STORE = "/var/lib/coldloop"


def main(trace: str, config: str) -> int:
    """Run the agent until SIGTERM or SIGINT; return its exit code."""
    try:
        openers = WriteTrace(Path(trace)).openers(OPENERS)
    except OSError as error:
        print(f"{trace}: {error.strerror}; the agent runs without it", file=sys.stderr)
        openers = OPENERS
    return run_agent(config, _STORE, openers)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
