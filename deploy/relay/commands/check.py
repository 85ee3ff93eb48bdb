# SPDX-License-Identifier: Apache-2.0
"""`coldloop relay --check`: the options, and all that the relay writes to, tried once.

Does not parse options; see `command`. It stores and publishes nothing: it opens files, begins and
undoes transactions, asks servers, and publishes an empty message for the rights at the topics of
`json` and `alarms`. A relay with these options can run at the same time. SOURCE: each
`Output.check`.
"""

import errno
import json
import socket
import sqlite3
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paho.mqtt.properties import Properties

from deploy.errors import DeployError
from deploy.relay.intake.http_server import address_family, check_certificate
from deploy.relay.mqtt.output_connection import OutputConnection
from deploy.relay.mqtt.session_client import session_properties
from deploy.relay.mqtt.tls_files import date_problem
from deploy.relay.mqtt.trial import try_broker
from deploy.relay.options import RelayOptions
from deploy.relay.outputs.base import Output, OutputContext, OutputError
from deploy.relay.outputs.file_check import check_sqlite
from deploy.relay.outputs.http_client import RefusedError
from deploy.relay.outputs.registry import Outputs
from deploy.relay.records.tables import is_store

_WAIT_S = 10.0
_LIMIT_S = 60.0
"""For the outputs together."""
_PARTS = ("store", "shelved", "http", "gateway", "dates", "broker")


def find_problems(options: RelayOptions) -> list[str]:
    """Return a line for each thing that a relay with these options could not use; []: none.

    Raises DeployError for an option that is wrong.
    """
    connection = OutputConnection(options.output_broker or options.broker, f"check-{options.name}")
    outputs = Outputs(
        options.outputs,
        lambda name, argument: _make_context(options, connection, name, argument),
    )
    try:
        problems = [_problem_of(options, part) for part in _PARTS]
        if not problems[-1] and outputs.uses_broker():
            problems.append(connection.begin_trial(_WAIT_S, _shared_session(options)))
        is_away = outputs.uses_broker() and bool(problems[-1])
        with _limit_of_time(connection):
            problems += [
                _problem_of_output(name, output)
                for name, output in outputs.by_name.items()
                if not (is_away and output.USES_BROKER)
            ]
    finally:
        connection.begin_close()
        connection.close()  # first: an output publishes its end otherwise
        outputs.close()
    return list(dict.fromkeys(filter(None, problems)))


@contextmanager
def _limit_of_time(connection: OutputConnection) -> Iterator[None]:
    """End the wait for a broker whose connection ends meanwhile."""
    timer = threading.Timer(_LIMIT_S, connection.begin_close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _make_context(
    options: RelayOptions, connection: OutputConnection, name: str, argument: str
) -> OutputContext:
    return OutputContext(
        argument,
        options.name,
        options.primary,
        connection,
        lambda: 0,
        lambda: time.time_ns() // 1_000_000,
        dict,
        None,
        options.shelved,
        options.tokens.get(name),
        options.tls.get(name),
        is_check=True,
    )


def _shared_session(options: RelayOptions) -> Properties | None:
    """Return the session that the outputs take over at a broker that takes the certificate's name.

    They do so if they have no certificate of their own; the trial must not end it.
    """
    if options.output_broker is not None:
        return None
    return session_properties(not options.sends_receipts)


def _problem_of(options: RelayOptions, part: str) -> str:
    try:
        if part == "store":
            check_sqlite(options.store, is_store, "the store of a relay")
        elif part == "shelved" and options.shelved is not None:
            _check_shelved(options.shelved)
        elif part == "http" and options.http is not None:
            check_certificate(options.http)
            _check_address(options.http.host, options.http.port)
        elif part == "gateway" and options.gateway is not None:
            _check_gateway(options.gateway)
        elif part == "dates":
            return next(filter(None, map(date_problem, _certificates(options))), "")
        elif part == "broker":
            ident = f"coldloop-check-{options.name}"
            return try_broker(options.broker, ident, not options.sends_receipts, _WAIT_S)
    except (DeployError, OutputError, OSError) as error:
        return str(error)
    return ""


def _certificates(options: RelayOptions) -> list[str | None]:
    brokers = [options.broker, options.output_broker or options.broker]
    found = [broker.certificate for broker in brokers]
    found += [files.certificate for files in options.tls.values()]
    return [*found, None if options.http is None else options.http.certificate]


def _check_shelved(path: Path) -> None:
    """Read the file; there is none before the first alarm is shelved."""
    try:
        is_good = isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise OutputError(f"--shelved {path}: {error}") from None
    if not is_good:
        raise OutputError(f"--shelved {path}: not a file of shelved alarms")


def _check_address(host: str, port: int) -> None:
    """Bind an address. One that is in use is good: the relay can be running."""
    try:
        wanted = address_family(host)
        found = socket.getaddrinfo(host, port, wanted, socket.SOCK_STREAM)
        family, kind, _, _, address = found[0]
        with socket.socket(family, kind) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise OutputError(f"--http {host}:{port}: {error}") from None


def _check_gateway(url: str) -> None:
    """Connect to a gateway; a request would be a message to a modem."""
    parts = urllib.parse.urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), _WAIT_S).close()
    except OSError as error:
        raise OutputError(f"--gateway {url}: {error}") from None


def _problem_of_output(name: str, output: Output) -> str:
    try:
        output.check()
    except (OutputError, RefusedError, DeployError, OSError, sqlite3.Error) as error:
        return f"output {name}: {error}"
    return ""
