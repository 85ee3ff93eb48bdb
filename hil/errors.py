# SPDX-License-Identifier: Apache-2.0
"""The exceptions of the bench.

BenchError +-- ScenarioError   a scenario that cannot run; the text names file, key and remedy
"""


class BenchError(Exception):
    """Base class of all exceptions of `hil`."""


class ScenarioError(BenchError):
    """A scenario with an unknown name, a missing value, or an impossible limit."""
