# SPDX-License-Identifier: Apache-2.0
"""Exceptions of deploy.

DeployError +-- OpsError        an operation of an operator is not possible
            +-- FirmwareError   an image cannot be built, run or written to a board
            +-- FactoryError    a unit cannot be produced
"""


class DeployError(Exception):
    """Base of all exceptions of `deploy`."""


class OpsError(DeployError):
    """A key, a change, a unit or a broker is not usable for the operation."""


class FirmwareError(DeployError):
    """An image cannot be built, run or written to a board."""


class FactoryError(DeployError):
    """A unit cannot be produced, or its record is not usable."""
