# SPDX-License-Identifier: Apache-2.0
"""The exceptions of the second floor.

AgentError +-- ConfigError   a configuration that cannot be used; the text names path, value and
                             what is allowed
               +-- Decommissioned  this unit was taken out of service for good
           +-- OrderError    a command with an argument that cannot be
"""


class AgentError(Exception):
    """Root of everything that `agent` raises."""


class ConfigError(AgentError):
    """A configuration with an unknown key, or a value of the wrong type, unit or range."""


class DecommissionedError(ConfigError):
    """The unit was taken out of service: it erases what it holds and runs no more."""


class CommandError(AgentError):
    """A command with an argument that cannot be; the text says which and what is allowed."""
