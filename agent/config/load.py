# SPDX-License-Identifier: Apache-2.0
"""Load a configuration, and unload the code that only loading needs.

Does not check anything; see `agent.config.compiler`, which MicroPython unloads after loading. This
small module stays in memory only while something has a reference to `load`.
"""

import sys

from agent.core.module_unload import forget_modules
from drivers.device.profile import unload_checker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.config.profile_files import ProfileFiles
    from agent.core.config_records import Config


_PREFIXES = (
    "agent.config.",
    "agent.core.component.registry",
    "agent.core.tunable",
    "agent.fieldbus.capacity",
    "drivers.modbus.plan.block_planner",
    "drivers.ports.address_text",
)


def load(raw: "Any", profiles: "dict[str, dict[str, Any]] | ProfileFiles") -> "Config":
    """Check a parsed configuration and compile it.

    `profiles` maps the name of a profile to its parsed JSON. Raises `ConfigError`: its text has one
    line for each error.
    """
    from agent.config.compiler import compile_config  # noqa: PLC0415 - so that it can be unloaded

    return compile_config(raw, profiles)


def unload_checks() -> None:
    """Unload the code that only loading needs, 20 KiB on a board. An import loads it again."""
    unload_checker()
    forget_modules([name for name in sys.modules if _is_only_for_loading(name)])


def _is_only_for_loading(name: str) -> bool:
    if name.startswith(_PREFIXES):
        return True
    return name.startswith("agent.") and ".schema" in name
