# SPDX-License-Identifier: Apache-2.0
"""A real Slurm on this machine: munged, slurmctld, and one slurmd for each of a few nodes.

Not for production: all daemons run as the user of the test in one folder, on the loopback, without
cgroups and accounting. Ports are free ones. Needs root, as slurmd starts jobs of other users.
SOURCE of the settings: slurm.conf(5) of 24.11.5.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.programs import PATH, free_port

_CONF = """ClusterName=coldloop
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=1
MinJobAge=300
SlurmdParameters=config_overrides
SchedulerParameters=bf_interval=1,sched_interval=2,sched_min_interval=0
Licenses={licences}
{nodes}
PartitionName=batch Nodes={names} Default=YES MaxTime=INFINITE State=UP
PartitionName=gentle Nodes={names} MaxTime=INFINITE State=UP
"""


class SlurmCluster:
    """The cluster in `folder` with nodes n1, n2, ...; a folder with a short path."""

    def __init__(self, folder: Path, nodes: int = 2, cpus: int = 4, licences: str = "coolkw:100"):
        self.folder = folder
        self.nodes = [f"n{i + 1}" for i in range(nodes)]
        self._daemons: list[subprocess.Popen[bytes]] = []
        host = os.uname().nodename.split(".")[0]
        lines = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={free_port()} CPUs={cpus}"
            for name in self.nodes
        ]
        for name in ("munge", "state", "spool"):
            (folder / name).mkdir(parents=True)
        self.conf = folder / "slurm.conf"
        self.conf.write_text(
            _CONF.format(
                folder=folder,
                host=host,
                port=free_port(),
                licences=licences,
                nodes="\n".join(lines),
                names=",".join(self.nodes),
            )
        )
        (folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
        self.environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(self.conf)}

    def start(self, timeout_s: float = 60.0) -> None:
        """Start all daemons and wait until each node is idle; raises TimeoutError."""
        munge = self.folder / "munge"
        (munge / "key").write_bytes(os.urandom(128))
        (munge / "key").chmod(0o400)
        self._start(
            "munged", "--foreground", "--force", f"--key-file={munge}/key",
            f"--socket={munge}/socket", f"--pid-file={munge}/pid", f"--log-file={munge}/log",
            f"--seed-file={munge}/seed",
        )  # fmt: skip
        self._wait((munge / "socket").exists, timeout_s)
        self._start("slurmctld", "-D", "-f", str(self.conf))
        for name in self.nodes:
            self._start("slurmd", "-D", "-f", str(self.conf), "-N", name)
        self._wait(lambda: self.run("sinfo", "-h", "-N", "-p", "batch", "-o", "%t").split()
                   == ["idle"] * len(self.nodes), timeout_s)  # fmt: skip

    def _start(self, *words: str) -> None:
        program = shutil.which(words[0], path=PATH)
        assert program is not None, words[0]
        with (self.folder / "daemons.log").open("ab") as log:
            self._daemons.append(
                subprocess.Popen(
                    [program, *words[1:]], env=self.environment, stdout=log, stderr=log
                )
            )

    def _wait(self, is_true: Callable[[], object], timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        while not is_true():
            if time.monotonic() > end:
                raise TimeoutError((self.folder / "daemons.log").read_text()[-2000:])
            time.sleep(0.1)

    def run(self, *words: str) -> str:
        """Run a command of Slurm; return its output, "" after a failure."""
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, check=False
        )
        return done.stdout if done.returncode == 0 else ""

    def submit(self, script: str, *options: str) -> int:
        """Submit a batch job; return its number."""
        output = self.run(
            "sbatch", "--parsable", "-o", "/dev/null", "--chdir", "/tmp", *options, "--wrap", script
        )
        return int(output)

    def jobs(self, states: str) -> list[int]:
        """Return the numbers of jobs in `states`, such as R or PD,S."""
        return [int(n) for n in self.run("squeue", "-h", "-t", states, "-o", "%i").split()]

    def restart_controller(self, pause_s: float, poll: Callable[[], object]) -> None:
        """Kill slurmctld and start it again after `pause_s`; call `poll` in the meantime."""
        self._daemons[1].kill()
        self._daemons[1].wait()
        end = time.monotonic() + pause_s
        while time.monotonic() < end:
            poll()
            time.sleep(0.1)
        self._start("slurmctld", "-D", "-f", str(self.conf))
        self._daemons[1] = self._daemons.pop()

    def close(self) -> None:
        """End all jobs and daemons."""
        self.run("scancel", "--user=root", "--signal=KILL")
        self.run("scancel", "--user=root")
        for daemon in reversed(self._daemons):
            with contextlib.suppress(ProcessLookupError):
                daemon.send_signal(signal.SIGTERM)
        for daemon in self._daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def wait_for(is_true: Callable[[], object], cluster: SlurmCluster, timeout_s: float = 30) -> None:
    """Wait until `is_true`; raises TimeoutError."""
    end = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > end:
            raise TimeoutError(cluster.run("sinfo", "-R") + cluster.run("squeue"))
        time.sleep(0.05)
