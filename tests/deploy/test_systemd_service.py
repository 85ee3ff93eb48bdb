# SPDX-License-Identifier: Apache-2.0
"""Debian package as a service under a systemd that is PID 1 (soak; needs root and Debian).

Namespaces replace a machine: a bare root with its own processes, mounts, host name and control
group. Kernel and devices are those of this machine. The control groups have no controllers, so
limits of memory and tasks are not tested.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.debian import tree
from tests.deploy.test_debian import make_bare_root, program_output

BOOT = """set -e
cd "$1"
mount --make-rprivate /
mount --bind . .
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do cp -a "/dev/$name" dev/; done
ln -s /proc/self/fd dev/fd
mkdir -p dev/pts dev/shm old
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=755 tmpfs run
pivot_root . old
mount --make-rshared / # systemd hands credentials over by that
umount -l /old
exec env -i container=test PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --system
"""
SPACES = ("--mount", "--uts", "--ipc", "--pid", "--cgroup")
TIMEOUT_S = 60


class SystemdMachine:
    """A root in which systemd runs."""

    def __init__(self, root: Path, group: Path) -> None:
        self.root = root
        group.mkdir()
        self._group = group
        enter = f"echo $$ > {group}/cgroup.procs; exec unshare {' '.join(SPACES)} --fork"
        arguments = ["sh", "-c", enter + ' sh -c "$0" boot "$1"', BOOT, str(root)]
        self._boot = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._wait(lambda: (root / "run").exists() and self._init_pid() != "")
        self.wait("systemctl is-system-running", "running")

    def _init_pid(self) -> str:
        """Return the process that is PID 1 in the root."""
        path = Path(f"/proc/{self._boot.pid}/task/{self._boot.pid}/children")
        return path.read_text().strip() if path.exists() else ""

    def _wait(self, reached: Callable[[], bool]) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not reached():
            assert time.monotonic() < end, "not within a minute"
            assert self._boot.poll() is None, self._boot.stderr and self._boot.stderr.read()
            time.sleep(0.2)

    def sh(self, line: str) -> str:
        """Run a shell command in the root; return its output."""
        spaces = ["nsenter", "-t", self._init_pid(), "-m", "-u", "-i", "-p", "-C", "-r", "-w"]
        arguments = [*spaces, "env", "-i", "PATH=/usr/sbin:/usr/bin", "sh", "-c", line]
        completed = subprocess.run(arguments, capture_output=True, text=True, check=False)
        return completed.stdout.strip()

    def wait(self, line: str, expected: str) -> None:
        """Wait until a shell command prints the expected text."""
        self._wait(lambda: self.sh(line) == expected)

    def pid(self) -> str:
        """Return the process of the agent, "0" for none."""
        return self.sh("systemctl show coldloop -p MainPID --value")

    def close(self) -> None:
        """Switch the machine off."""
        os.kill(int(self._init_pid()), 9)
        self._boot.communicate(timeout=TIMEOUT_S)
        for folder in sorted(self._group.rglob("*/"), key=lambda path: -len(path.parts)):
            folder.rmdir()
        self._group.rmdir()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[SystemdMachine]:
    """A machine with the package in /srv, in its own control group."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    groups = [row[1] for row in mounts if row[2] == "cgroup2"]
    if os.geteuid() != 0 or not groups:
        pytest.skip("needs root, and control groups of the second version")
    root = make_bare_root(tmp_path, "python3,systemd,systemd-sysv,dbus,udev")
    program_output(sys.executable, "-m", "deploy.debian.build", "--out", str(root / "srv"))
    there = SystemdMachine(root, Path(groups[0]) / f"coldloop-test-{os.getpid()}")
    yield there
    there.close()


@pytest.mark.soak
def test_systemd_starts_watches_upgrades_and_removes_it(machine: SystemdMachine) -> None:
    machine.sh("dpkg -i /srv/coldloop_*.deb")
    sample = json.loads((tree.FILES / "unit.json").read_text())
    sample["broker"] = {"address": "tcp:127.0.0.1:1"}
    (machine.root / "etc/coldloop/unit.json").write_text(json.dumps(sample))
    machine.sh("systemctl enable --now coldloop")
    assert machine.sh("systemctl is-active coldloop") == "active"
    assert machine.sh("coldloop status --state /run/coldloop | head -n 1").endswith("is SAFE")
    assert "good     service        running" in machine.sh("coldloop doctor")
    first = machine.pid()
    status = dict(
        line.split(":\t", 1)
        for line in machine.sh(f"cat /proc/{first}/status").splitlines()
        if ":\t" in line
    )
    assert status["Uid"].split()[0] not in ("0", "")
    assert (status["CapEff"], status["NoNewPrivs"], status["Seccomp"]) == ("0" * 16, "1", "2")
    assert "SCHED_RR" in machine.sh(f"chrt -p {first}")
    # The watchdog ends and restarts an agent that hangs.
    machine.sh(f"kill -STOP {first}")
    machine.wait("systemctl show coldloop -p NRestarts --value", "1")
    machine.wait("systemctl is-active coldloop", "active")
    second = machine.pid()
    assert second not in (first, "0")
    # An upgrade restarts the agent.
    machine.sh("dpkg -i /srv/coldloop_*.deb")
    machine.wait("systemctl is-active coldloop", "active")
    assert machine.pid() not in (second, "0")
    # Removal stops the agent and keeps the files of the site; purge deletes them.
    machine.sh("dpkg -r coldloop")
    assert machine.sh("systemctl is-active coldloop") == "inactive"
    retained = machine.sh("ls /etc/coldloop /var/lib/private/coldloop")
    assert "unit.json" in retained
    assert "log.schema" in retained
    machine.sh("dpkg -P coldloop")
    assert machine.sh("ls -d /etc/coldloop /var/lib/private/coldloop") == ""
