# SPDX-License-Identifier: Apache-2.0
"""Exceptions of deploy.

DeployError +-- OpsError        an operation of an operator is not possible
            |   +-- LocalError  a fault of the operator's computer, not of a unit
            +-- FirmwareError   an image cannot be built, run or written to a board
            +-- FactoryError    a unit cannot be produced
"""


class DeployError(Exception):
    """Base of all exceptions of `deploy`."""


class OpsError(DeployError):
    """A key, a change, a unit or a broker is not usable for the operation."""


class LocalError(OpsError):
    """The ledger, a journal, an own file or the signer of this computer fails; no unit does."""


class FirmwareError(DeployError):
    """An image cannot be built, run or written to a board."""


class FactoryError(DeployError):
    """A unit cannot be produced, or its record is not usable."""
