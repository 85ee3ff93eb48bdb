# SPDX-License-Identifier: Apache-2.0
"""Check that the declarations of the components of a unit do not conflict.

Loaded only on a unit that has components. `agent.core.component` describes the declarations.
"""

from agent.core.actuator import LOOP
from agent.core.errors import AgentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.component import Component


def check_declarations(components: "list[Component]") -> None:
    """Check that no two components declare the same rank, service or command.

    Two claims of equal rank would have no winner. Raises `AgentError`.
    """
    owners: dict[tuple[str, object], str] = {}
    for component in components:
        owner = type(component).__name__
        declared: list[tuple[str, object]] = [("service", name) for name in component.PROVIDES]
        declared.extend([("command", name) for name in component.COMMANDS])
        for actuator, rank in component.CLAIMS:
            if rank <= LOOP:
                raise AgentError("%s: rank %d is not above the loop" % (owner, rank))
            declared.append((actuator + " rank", rank))
        for key in declared:
            if key in owners:
                raise AgentError("%s %s: declared by %s and %s" % (key + (owners[key], owner)))
            owners[key] = owner
