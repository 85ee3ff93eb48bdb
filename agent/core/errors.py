# SPDX-License-Identifier: Apache-2.0
"""Exceptions of the agent.

The hierarchy:

    AgentError
        ConfigError              an invalid configuration; the text has path, value and limits
            DecommissionedError  this unit was permanently taken out of service
        CommandError             a command with an invalid argument
"""


class AgentError(Exception):
    """Base class of all exceptions that `agent` raises."""


class ConfigError(AgentError):
    """The configuration has an unknown key, or a value with a wrong type, unit or range."""


class DecommissionedError(ConfigError):
    """The unit was taken out of service: it erases its data and stops permanently."""


class CommandError(AgentError):
    """A command has an invalid argument. The text names the argument and its limits."""
