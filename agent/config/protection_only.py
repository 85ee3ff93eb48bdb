# SPDX-License-Identifier: Apache-2.0
"""Configuration of a unit in a boot loop: only the sections of the protection.

Does not decide that there is a boot loop; see `agent.runtime.boot_loop`. The field buses, the loops
and the supervisor always remain.
"""

from agent.config.config_copy import copy_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.config_records import Config

# A controller of a pair stays in the pair: alone it would write beside the other one.
_KEPT = ("cooling", "safety", "throttle", "remote", "retain", "redundancy")
_KEPT_AT_LEAST = ("safety", "throttle", "redundancy")


def protection_only(config: "Config", fallback_level: int) -> "Config":
    """Return the part of `config` that runs at `fallback_level` of `agent.runtime.boot_loop`."""
    if fallback_level == 0:
        return config
    changed: Config = copy_record(config)
    kept = _KEPT if fallback_level == 1 else _KEPT_AT_LEAST
    changed.components = [entry for entry in config.components if entry[0] in kept]
    changed.component_ports = [entry for entry in config.component_ports if entry[0] in kept]
    if fallback_level > 1:
        changed.broker = changed.receiver = None
    return changed
