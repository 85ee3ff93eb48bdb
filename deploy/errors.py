"""The exceptions of deploy.

DeployError +-- OpsError   what an operator asked for cannot be done (text: what, where, what to do)
"""


class DeployError(Exception):
    """Root of everything that `deploy` raises."""


class OpsError(DeployError):
    """A key, a change, a unit or a broker that cannot be used as asked."""
