# SPDX-License-Identifier: Apache-2.0
"""One unit sends mutated blocks, schemas, notes and datagrams; another unit must not notice.

MUTATIONS=N sets the number of messages of a soak run (10 million), SEED=N another run. PyPy is
several times faster; see `mutator`.
"""

import os

import pytest

from tests.deploy.relay.bad_unit.mutator import run


def test_a_bad_unit_harms_no_other_one() -> None:
    worst, _ = run(2000, 1)
    assert worst < 5.0


@pytest.mark.soak
def test_millions_of_mutations() -> None:
    count = int(os.environ.get("MUTATIONS", "10000000"))
    print(run(count, int(os.environ.get("SEED", "2"))))
