# SPDX-License-Identifier: Apache-2.0
"""The exceptions of the bench, and the exit code of an interrupted command.

BenchError +-- ScenarioError   a scenario that cannot run; the text names file, key and remedy
"""

INTERRUPTED = 130
"""Exit code of a command that SIGINT or SIGTERM ended, with the results until then."""


class BenchError(Exception):
    """Base class of all exceptions of `hil`."""


class ScenarioError(BenchError):
    """A scenario with an unknown name, a missing value, or an impossible limit."""
