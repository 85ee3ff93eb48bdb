# SPDX-License-Identifier: Apache-2.0
"""Check that the declarations of the components of a unit do not conflict.

Loaded only on a unit that has components. `agent.core.component.base` describes the declarations.
"""

from agent.core.actuator import EXACT, LOOP
from agent.core.errors import AgentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.actuator import ClaimSpec
    from agent.core.component.base import Component


def check_declarations(components: "list[Component]") -> None:
    """Check that no two components declare the same service, command or rank on one actuator.

    Two exact claims of equal rank would have no defined winner. A bound has no such conflict.
    Raises `AgentError`.
    """
    owners: dict[tuple[str, object], str] = {}
    for component in components:
        owner = type(component).__name__
        declared: list[tuple[str, object]] = [("service", name) for name in component.PROVIDES]
        declared.extend([("command", name) for name in component.COMMANDS])
        for key in declared:
            _declare(owners, key, owner)
    for i, component in enumerate(components):
        for spec in component.CLAIMS:
            if spec.rank <= LOOP:
                owner = type(component).__name__
                raise AgentError("%s: rank %d is not above the loop" % (owner, spec.rank))
            for other in components[:i]:
                _check_claim(spec, component, other)


def _declare(
    owners: "dict[tuple[str, object], str]", key: "tuple[str, object]", owner: str
) -> None:
    if key in owners:
        raise AgentError("%s %s: declared by %s and %s" % (key + (owners[key], owner)))
    owners[key] = owner


def _check_claim(spec: "ClaimSpec", component: "Component", other: "Component") -> None:
    for claim in other.CLAIMS:
        if claim[:2] == spec[:2] and claim.kind == spec.kind == EXACT:
            names = type(other).__name__, type(component).__name__
            raise AgentError("%s rank %d: declared by %s and %s" % (spec[:2] + names))
