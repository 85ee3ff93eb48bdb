# SPDX-License-Identifier: Apache-2.0
"""Writes a log to a real folder until the process is killed; runs on both interpreters.

    python -m tests.agent.log.log_writer FOLDER

Prints `durable CLASS ID` for each record that the store reports as durable.
"""

import sys

from agent.log.record_store import RecordStore
from drivers.ports.address import parse_address
from protocols.telemetry.message import JSON_EVENT

SETTINGS = {"bytes": 1 << 18, "segment_bytes": 1024, "live_ttl_s": 0, "bulk_ttl_s": 0}


def open_store(folder):
    if sys.implementation.name == "cpython":
        from drivers.ports.cpython import store  # noqa: PLC0415
    else:
        from drivers.ports.micropython import store  # noqa: PLC0415
    return store.open_port(parse_address("store:" + folder), lambda: None)


def run_store(record_store, port, now):
    """Execute the requests for the store."""
    for op, data in record_store.outbox():
        port.request(op, data)
    while not port.is_drained():
        answer = port.read()
        if answer:
            record_store.receive(answer, now)
    record_store.event("drained", now)


def print_durable(record_store, printed_to):
    """Print the new durable records."""
    for class_index in record_store.class_indexes:
        for ident in range(printed_to[class_index.group], class_index.durable_to):
            sys.stdout.write("durable " + str(class_index.group) + " " + str(ident) + chr(10))
        printed_to[class_index.group] = class_index.durable_to
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


def main(folder):
    port = open_store(folder)
    record_store = RecordStore("s1/u1", SETTINGS)
    record_store.event("opened", 0)
    now = serial = 0
    while not record_store.ready:
        run_store(record_store, port, now)
    printed_to = [class_index.durable_to for class_index in record_store.class_indexes]
    while True:
        now += 1000
        for group in (3, serial % 4):
            serial += 1
            record_store.append(group, JSON_EVENT, b"%d." % serial * (1 + serial % 40), now)
        while record_store.oldest_unsaved() is not None:
            run_store(record_store, port, now)
        print_durable(record_store, printed_to)


if __name__ == "__main__":
    main(sys.argv[1])
