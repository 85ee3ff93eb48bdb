# SPDX-License-Identifier: Apache-2.0
"""The units of the package under a real systemd: see deploy/debian/prove-systemd.sh."""

import os
import subprocess
from pathlib import Path

import pytest

from deploy.debian.build import build
from tests.support.programs import require_program
from tests.support.repository import ROOT


@pytest.mark.soak
def test_the_units_serve_under_systemd(tmp_path: Path) -> None:
    if os.getuid() or not Path("/usr/lib/systemd/systemd").exists():
        pytest.skip("needs root and systemd")
    for program in ("unshare", "snmpd", "snmpget", "mbpoll", "curl"):
        require_program(program)
    package = build(tmp_path)
    done = subprocess.run(
        [str(ROOT / "deploy/debian/prove-systemd.sh"), str(package)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if done.returncode == 2:
        pytest.skip(done.stdout.strip())
    assert done.stdout.splitlines()[-1] == "proved", done.stdout[-3000:] + done.stderr[-2000:]
