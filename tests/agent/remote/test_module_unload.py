# SPDX-License-Identifier: Apache-2.0
"""The list of modules that a board drops after a message names each module of a message."""

from agent.remote.module_unload import MESSAGE_MODULES
from deploy.firmware.application.romfs import module_name
from tests.support.repository import repo_files

STAY = {
    "agent.remote.message.canonical",
    "agent.remote.message.chunk",
    "agent.remote.message.counter",
    "agent.remote.message.reject",
}
"""The hash of the configuration, that of a chunk of an update, the stored counters and the reasons
of a rejection: used between messages."""


def test_a_board_drops_each_module_of_a_message() -> None:
    modules = {module_name(name) for name in repo_files() if name.endswith(".py")}
    assert set(MESSAGE_MODULES) <= modules
    message = {name for name in modules if name.startswith("agent.remote.message.")}
    assert message - set(MESSAGE_MODULES) == STAY
