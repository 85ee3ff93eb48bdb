# SPDX-License-Identifier: Apache-2.0
"""Declarations of components: ports, claims, services and commands do not conflict."""

from agent.core.actuator import (
    AT_LEAST,
    AT_MOST,
    EXACT,
    INTERLOCK,
    LOOP,
    MANUAL,
    PROOF,
    PROTECTION,
    PUMPS,
    VALVE,
    ClaimSpec,
)
from agent.core.component import registry
from agent.core.component.base import Component
from agent.core.component.declarations import check_declarations
from agent.core.errors import AgentError
from agent.remote.command_table import CommandTable
from agent.remote.message.command import ROLES
from tests.portable.support.check import eq, raises


def component_class(spec):
    return getattr(__import__(spec.module, None, None, (spec.cls,)), spec.cls)


def classes():
    return [component_class(spec) for spec in registry.COMPONENTS]


def declare(**declared):
    component = Component(None, {}, -1)
    for name, value in declared.items():
        setattr(component, name, value)
    return component


def refused(*components):
    return str(raises(AgentError, check_declarations, list(components)))


def test_different_ranks_are_accepted():
    check_declarations(
        [
            declare(CLAIMS=(ClaimSpec(VALVE, MANUAL, EXACT), ClaimSpec(PUMPS, MANUAL, EXACT))),
            declare(CLAIMS=(ClaimSpec(VALVE, PROOF, EXACT), ClaimSpec(PUMPS, INTERLOCK, EXACT))),
        ]
    )


def test_equal_ranks_on_one_actuator_are_refused():
    one = declare(CLAIMS=(ClaimSpec(VALVE, MANUAL, EXACT),))
    other = declare(CLAIMS=(ClaimSpec(PUMPS, INTERLOCK, EXACT), ClaimSpec(VALVE, MANUAL, EXACT)))
    eq(refused(one, other), "valve rank 50: declared by Component and Component")


def test_bound_never_conflicts_with_an_equal_rank():
    floor = declare(CLAIMS=(ClaimSpec(VALVE, PROTECTION, AT_LEAST),))
    cap = declare(CLAIMS=(ClaimSpec(VALVE, PROTECTION, AT_MOST),))
    exact = declare(CLAIMS=(ClaimSpec(VALVE, PROTECTION, EXACT),))
    check_declarations([floor, cap, exact])
    check_declarations([declare(CLAIMS=exact.CLAIMS + floor.CLAIMS), cap])
    eq(refused(floor, exact, cap, exact), "valve rank 40: declared by Component and Component")


def test_rank_must_be_above_the_loop():
    eq(
        refused(declare(CLAIMS=(ClaimSpec(VALVE, LOOP, EXACT),))),
        "Component: rank 10 is not above the loop",
    )


def test_services_and_commands_have_one_owner():
    assert "service sender" in refused(declare(PROVIDES=("sender",)), declare(PROVIDES=("sender",)))
    assert "command reset" in refused(declare(COMMANDS=("reset",)), declare(COMMANDS=("reset",)))


def test_a_service_and_a_command_can_have_one_name():
    check_declarations([declare(PROVIDES=("hold",)), declare(COMMANDS=("hold",))])


def test_declarations_of_all_components_do_not_conflict():
    check_declarations(
        [
            declare(CLAIMS=cls.CLAIMS, PROVIDES=cls.PROVIDES, COMMANDS=cls.COMMANDS)
            for cls in classes()
        ]
    )


def test_ports_are_those_of_the_registry():
    for spec in registry.COMPONENTS:
        eq((spec.section, component_class(spec).PORTS), (spec.section, spec.port_kinds))


def test_used_services_are_provided():
    provided = [name for cls in classes() for name in cls.PROVIDES]
    for cls in classes():
        for name in cls.REQUIRES:
            assert name in provided, (cls.__name__, name)


def test_every_command_has_one_executor():
    """The commands of the remote manager itself, and those that components declare."""
    declared = [name for cls in classes() for name in cls.COMMANDS]
    own = list(CommandTable(None)._table)
    eq(sorted(declared + own), sorted([name for name, _ in ROLES]))


def test_components_that_execute_commands_declare_them():
    for cls in classes():
        own = cls.handle_command is not Component.handle_command
        eq((cls.__name__, bool(cls.COMMANDS)), (cls.__name__, own))


def test_components_with_points_have_values():
    for cls in classes():
        own = cls.values is not Component.values
        eq((cls.__name__, bool(cls.POINTS)), (cls.__name__, own))
        for name, unit, numerator, denominator in cls.POINTS:
            assert min(len(name), len(unit), numerator, denominator) > 0, name
