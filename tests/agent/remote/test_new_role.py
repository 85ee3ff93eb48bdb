# SPDX-License-Identifier: Apache-2.0
"""A role that the table of tunable keys gets later is never as weak as `OPERATE` by default."""

import pytest

from agent.core.tunable import LIMITS, OPERATE, TUNABLES
from agent.remote.message import parameters
from agent.remote.message.keyring import ROLES, Keyring
from agent.remote.message.patch import Patch
from deploy.ops.unit_config import dry_run
from protocols.cbor import Map

NEW_ROLE = 3
PUBLIC = ("11" * 32, "22" * 32)


@pytest.fixture(autouse=True)
def _add_role(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row._replace(role=NEW_ROLE) if row.number == 3 else row for row in TUNABLES]
    monkeypatch.setattr(parameters, "TUNABLES", tuple(rows))


def required_role(*numbers: int) -> int:
    changes = Map([(number, 1) for number in numbers])
    return Patch([1, 1, 1, None, 30, changes]).required_role()


def test_a_patch_needs_the_role_of_its_keys() -> None:
    assert required_role(1, 2) == OPERATE
    assert required_role(3) == NEW_ROLE
    assert required_role(1, 11) == LIMITS


@pytest.mark.parametrize("numbers", [(1, 3), (3, 1), (3, 11)])
def test_keys_of_two_roles_need_the_strongest(numbers: tuple[int, ...]) -> None:
    assert required_role(*numbers) == LIMITS


@pytest.mark.parametrize("numbers", [(3,), (1, 3)])
def test_one_key_of_an_operator_cannot_sign_it(numbers: tuple[int, ...]) -> None:
    keys = [
        {"number": number, "public": PUBLIC[number - 1], "role": "operate"} for number in (1, 2)
    ]
    keyring = Keyring(keys)
    assert keyring.is_sufficient([1], required_role(1))
    assert not keyring.is_sufficient([1], required_role(*numbers))
    assert not keyring.is_sufficient([1, 2], required_role(*numbers))


def test_the_dry_run_names_the_second_signature() -> None:
    notes = [dry_run._list_notes({}, {}, role) for role in (OPERATE, LIMITS, NEW_ROLE)]
    assert [len(note) for note in notes] == [0, 1, 1]


def test_each_role_of_a_key_has_a_name() -> None:
    """The reference page looks the name up."""
    assert {row.role for row in TUNABLES} <= {number for _, number in ROLES}
