"""The exceptions of the bench.

BenchError +-- ScenarioError   a scenario that cannot be run as written; the text names file, key
and what to do
"""


class BenchError(Exception):
    """Root of everything that `hil` raises."""


class ScenarioError(BenchError):
    """A scenario with an unknown word, a missing value, or a limit that makes no sense."""
