"""The exceptions of deploy.

DeployError +-- OpsError        what an operator asked for cannot be done
            +-- FirmwareError   an image that cannot be built, run or put on a board
"""


class DeployError(Exception):
    """Root of everything that `deploy` raises."""


class OpsError(DeployError):
    """A key, a change, a unit or a broker that cannot be used as asked."""


class FirmwareError(DeployError):
    """An image that cannot be built, run or put on a board."""
