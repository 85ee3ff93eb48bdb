# SPDX-License-Identifier: Apache-2.0
"""One Slurm cluster for a module, without jobs after each test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.orchestrate.slurm_cluster import SlurmCluster, wait_for
from tests.support.programs import require_program


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    require_program("munged")
    require_program("slurmctld")
    require_program("slurmd")
    if os.geteuid() != 0:
        pytest.skip("slurmd starts jobs only as root")
    folder = Path(tempfile.mkdtemp(prefix="slurm"))
    made = SlurmCluster(folder)
    try:
        made.start()
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def clean_cluster(cluster: SlurmCluster) -> Iterator[None]:
    yield
    cluster.run("scancel", "--user=root")
    wait_for(lambda: not cluster.jobs("R,PD,S,CG"), cluster)
