# SPDX-License-Identifier: Apache-2.0
"""The SNMP process: starts snmpd of net-snmp, watches it, and sends informs.

Does not answer requests: snmpd does, and asks `responder` here for the values of the unit. snmpd is
started again if it ends, after 1 to 10 s, and killed if it hangs; see `liveness`. All other lines
of snmpd go to the journal.
"""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.errors import OpsError
from deploy.northbound.process.notifications import CountFile
from deploy.northbound.process.supervisor import keep_running
from deploy.northbound.snapshot import SnapshotReader
from deploy.northbound.snmp.daemon_files import read_user, write_daemon_files
from deploy.northbound.snmp.informs import AlarmChanges, InformSender, KnownFile
from deploy.northbound.snmp.liveness import SOCKET, HangWatch, LivenessTimes
from deploy.northbound.snmp.responder import PassPersistResponder, ResponderSocket, parse_oid
from deploy.northbound.snmp.tree import ENTERPRISES, ROOT, Oid

_POLL_S = 0.1
_FIRST_PAUSE_S, _LAST_PAUSE_S = 1.0, 10.0
_STEADY_S = 30.0
_LONGEST_ROOT = 32
_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
_MODULES = ",".join(
    (
        *("system_mib", "sysORTable", "snmp_mib", "setSerialNo", "pass", "pass_persist"),
        *("snmpEngine", "snmpMPDStats", "usmConf", "usmUser", "usmStats"),
        *("vacm_conf", "vacm_vars"),
    )
)
"""Modules of snmpd; the others read /proc and the network, which the sandbox does not permit."""


@dataclass(frozen=True, slots=True)
class SnmpSettings:
    """Section `northbound.snmp`. `folder`: own folder in `northbound.state`."""

    address: str
    port: int
    user: str
    keys: Path
    folder: Path
    receivers: tuple[str, ...] = ()
    root: Oid = ROOT

    @classmethod
    def of(cls, section: Mapping[str, Any], base: Path, state: Path) -> "SnmpSettings":
        """Build from the configuration; `keys` is relative to `base`.

        Raises OpsError: `user` or `keys` is missing.
        """
        for key in ("user", "keys"):
            if not section.get(key):
                raise OpsError(f"northbound.snmp.{key} is missing: SNMPv3 needs a user and keys")
        return cls(
            section["address"],
            section.get("port", 1161),
            section["user"],
            base / section["keys"],
            (state / "snmp").absolute(),
            tuple(section.get("receivers", ())),
            read_root(section["oid"]) if "oid" in section else ROOT,
        )


def read_root(text: str) -> Oid:
    """Return the object identifier of the MIB. Raises OpsError: it is not below `ENTERPRISES`."""
    root = parse_oid(text) or ()
    if root[: len(ENTERPRISES)] != ENTERPRISES or len(root) < len(ENTERPRISES) + 2:
        raise OpsError("northbound.snmp.oid: needs 1.3.6.1.4.1.NUMBER.N, with an enterprise number")
    if len(root) > _LONGEST_ROOT or not all(0 < number < 2**32 for number in root):
        raise OpsError(f"northbound.snmp.oid: at most {_LONGEST_ROOT} numbers of 1 to 4294967295")
    return root


class SnmpProcess:
    """`listen`: number of sockets that systemd has passed; snmpd takes them over."""

    def __init__(
        self,
        settings: SnmpSettings,
        reader: SnapshotReader,
        listen: int = 0,
        times: LivenessTimes | None = None,
    ) -> None:
        self._settings, self._reader, self._listen = settings, reader, listen
        self._hang_watch = HangWatch(times)
        self.daemon_pid = 0
        self.starts = 0
        self.senders = [
            InformSender(text, settings.folder, settings.root) for text in settings.receivers
        ]

    @property
    def finds_hangs(self) -> bool:
        """Whether a hanging snmpd is found now: one has answered the question of the watch."""
        return self._hang_watch.had_answer

    async def run(self) -> None:
        """Run until cancelled. Raises OpsError: the settings are wrong, or no snmpd."""
        settings = self._settings
        program = shutil.which("snmpd", path=f"{os.environ.get('PATH', '')}:{_PATH}")
        if program is None:
            raise OpsError("no snmpd: apt install snmpd snmp")
        user = read_user(settings.user, settings.keys)
        snapshot = self._reader.read()
        tasks = [sender.run() for sender in self.senders]
        async with asyncio.TaskGroup() as group:
            settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            values = ResponderSocket(
                PassPersistResponder(self._reader, root=settings.root), settings.folder
            )
            for task in (*tasks, self._watch_alarms(), values.serve()):
                group.create_task(task)
            pause = _FIRST_PAUSE_S
            while True:
                configuration = write_daemon_files(
                    settings.folder,
                    user,
                    settings.address,
                    settings.port,
                    snapshot,
                    settings.root,
                )
                lasted = await self._run_daemon(program, configuration)
                pause = _FIRST_PAUSE_S if lasted > _STEADY_S else min(2 * pause, _LAST_PAUSE_S)
                await asyncio.sleep(pause)
                snapshot = self._reader.read()

    async def _run_daemon(self, program: str, configuration: Path) -> float:
        """Run snmpd until it ends; return how long it ran, s."""
        clock = asyncio.get_running_loop().time
        started = clock()
        (self._settings.folder / SOCKET).unlink(missing_ok=True)
        command = [program, "-f", "-LOw", "-c", str(configuration), "-I", _MODULES]
        process = await asyncio.create_subprocess_exec(
            *self._starter(command),
            env=self._environment(),
            cwd=self._settings.folder,
            stdin=asyncio.subprocess.DEVNULL,
            close_fds=not self._listen,
        )
        self.daemon_pid, self.starts = process.pid, self.starts + 1
        folder = self._settings.folder
        work = keep_running("watch of snmpd", lambda: self._hang_watch.run(process.pid, folder))
        watch = asyncio.create_task(work)
        try:
            await process.wait()
        finally:
            watch.cancel()
            if process.returncode is None:
                process.terminate()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), 5)
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        return clock() - started

    def _starter(self, command: Sequence[str]) -> list[str]:
        """Pass on sockets of systemd, whose process id must be that of snmpd; end it with us."""
        found, setpriv = list(command), shutil.which("setpriv")
        # In a unit of systemd setpriv has no right to start, and systemd ends snmpd with the unit.
        if setpriv is not None and "INVOCATION_ID" not in os.environ:
            found = [setpriv, "--pdeathsig", "TERM", *found]
        if not self._listen:
            return found
        return ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "snmpd", *found]

    def _environment(self) -> dict[str, str]:
        folder = self._settings.folder
        result = {
            "PATH": os.environ.get("PATH", os.defpath),
            "SNMP_PERSISTENT_DIR": str(folder / "engine"),
            "SNMPCONFPATH": str(folder / "engine"),  # not /etc/snmp
            "MIBS": "",
        }
        if self._listen:
            result["LISTEN_FDS"] = str(self._listen)
        return result

    async def _watch_alarms(self) -> None:
        folder = self._settings.folder
        known, counts = KnownFile(folder / "known.json"), CountFile(folder.parent, "snmp")
        changes = AlarmChanges(known.load() if self.senders else None)
        while True:
            for inform in changes.update(self._reader.read()):
                for sender in self.senders:
                    sender.put(inform)
            if self.senders:
                waiting = set().union(*(sender.queue.names() for sender in self.senders))
                known.save(changes.known(waiting))
                counts.write([sender.queue.counts for sender in self.senders])
            await asyncio.sleep(_POLL_S)
