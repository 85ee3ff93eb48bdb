# SPDX-License-Identifier: Apache-2.0
"""`coldloop orchestrate`: publishes the heat headroom of rows, and acts on a scheduler.

Does not contain the loop; see `deploy.orchestrate.service`. The process runs where the scheduler's
administration runs, for example on the head node of Slurm. A unit holds no credential of it.
"""

import argparse
import errno
import hashlib
import json
import os
import signal
import socket
import sys
import threading
from types import FrameType

from deploy.errors import DeployError
from deploy.orchestrate import settings as settings_file
from deploy.orchestrate.kubernetes import KubernetesActuator, KubernetesClient
from deploy.orchestrate.publish import PublishServer
from deploy.orchestrate.service import Scheduler, Service
from deploy.orchestrate.settings import OrchestrateSettings
from deploy.orchestrate.slurm.actuator import SlurmActuator
from deploy.orchestrate.slurm.client import SlurmClient
from drivers.tools.lib.parser import Parser

_SLURM_CONF = "/etc/slurm/slurm.conf"
"""The default of Debian; with other names of the same file the lock is the same."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = Parser(
        prog="coldloop orchestrate",
        description="Publish the heat headroom of each row, and let Slurm or Kubernetes follow it.",
        epilog="example: coldloop orchestrate --config /etc/coldloop/orchestrate.toml",
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="configuration, TOML")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--once", action="store_true", help="one pass, print the record, act on nothing"
    )
    mode.add_argument("--undo", action="store_true", help="undo all in the scheduler, then end")
    mode.add_argument("--check", action="store_true", help="check the configuration, then end")
    parser.add_argument(
        "--publish-only", action="store_true", help="publish, but act on no scheduler"
    )
    parser.add_argument(
        "--json", action="store_true", help="with --check: print JSON; --once always does"
    )
    return parser


def run(argv: list[str]) -> int:
    """Run the command. Exit 1: the undo was not complete. Exit 2: wrong use, or not the owner."""
    arguments = build_parser().parse_args(argv)
    try:
        settings = settings_file.load(arguments.config)
        if arguments.check:
            names = [row.name for row in settings.rows]
            found = {"file": arguments.config, "good": True, "rows": names}
            print(json.dumps(found) if arguments.json else f"{arguments.config}: {len(names)} rows")
            return 0
        acts = not (arguments.once or arguments.publish_only)
        scheduler = make_scheduler(settings) if acts else None
        owner = own_scheduler(settings) if scheduler is not None else None
    except DeployError as error:
        sys.stderr.write(f"coldloop orchestrate: {error}\n")
        return 2
    service = Service(settings, scheduler, print_line)
    try:
        if arguments.undo:
            return _undo(service)
        if arguments.once:
            print(json.dumps(service.step()))
            return 0
        return _serve(service, settings)
    except DeployError as error:
        sys.stderr.write(f"coldloop orchestrate: {error}\n")
        return 2
    finally:
        service.close()
        if owner is not None:
            owner.close()


def make_scheduler(settings: OrchestrateSettings) -> Scheduler | None:
    """Return what acts on the scheduler of the file; None: the file has none."""
    if settings.slurm is not None:
        client = SlurmClient(settings.slurm.conf)
        return SlurmActuator(client, settings.slurm, settings.rules, print_line)
    if settings.kubernetes is not None:
        return KubernetesActuator(
            KubernetesClient(settings.kubernetes),
            settings.kubernetes,
            settings.rules,
            settings.rows,
            print_line,
        )
    return None


def own_scheduler(settings: OrchestrateSettings) -> socket.socket:
    """Return the lock of the scheduler on this machine. Raises DeployError: a process has it.

    Two processes would undo the work of each other. The lock is a Unix socket without a file; the
    kernel releases it with the process, also after SIGKILL.
    """
    place = ""
    if settings.slurm is not None:
        place = settings.slurm.conf or os.environ.get("SLURM_CONF", "") or _SLURM_CONF
        place = os.path.realpath(place)
    elif settings.kubernetes is not None:
        place = settings.kubernetes.server.rstrip("/").lower()
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind("\0coldloop-orchestrate-" + hashlib.sha256(place.encode()).hexdigest()[:32])
    except OSError as error:
        lock.close()
        if error.errno != errno.EADDRINUSE:
            raise DeployError(f"lock: {error.strerror}") from None
        raise DeployError("another process acts on this scheduler; stop that one first") from None
    return lock


def print_line(text: str) -> None:
    """Write one line to the journal."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _undo(service: Service) -> int:
    try:
        service.undo()
    except DeployError as error:
        sys.stderr.write(f"coldloop orchestrate: {error}\n")
        return 1
    return 0


def _serve(service: Service, settings: OrchestrateSettings) -> int:
    """Run until SIGTERM or SIGINT, then undo.

    Nothing is undone because of an error: heat may be lost just then. The next pass tries again.
    """
    stop = threading.Event()

    def on_signal(_: int, __: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    server = None
    if settings.listen:
        server = PublishServer(settings.listen, lambda: service.record, print_line)
    failure = ""
    while not stop.is_set():
        text = _step(service)
        if text != failure:
            print_line(text or "works again")
        failure = text
        stop.wait(settings.rules.poll_s)
    if server is not None:
        server.close()
    return _undo(service)


def _step(service: Service) -> str:
    """Do one pass; return its error, "": none."""
    try:
        service.step()
    except DeployError as error:  # the record could not be written
        return str(error)
    except Exception as error:  # noqa: BLE001 - an end would take the protection away
        return f"error in a pass, the levels stay: {error!r}"
    return ""
