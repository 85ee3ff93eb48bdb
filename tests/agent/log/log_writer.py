"""A log on a real folder, written until somebody kills the process; runs on both interpreters.

    python -m tests.agent.log.log_writer FOLDER

Says `durable CLASS ID` for each record once the store has said that it is durable.
"""

import sys

from agent.log.record_store import Keeper
from drivers.ports.address import parse
from protocols.telemetry.message import NOTE

SETTINGS = {"bytes": 1 << 18, "segment_bytes": 1024, "live_ttl_s": 0, "bulk_ttl_s": 0}


def opened(folder):
    if sys.implementation.name == "cpython":
        from drivers.ports.cpython import store  # noqa: PLC0415
    else:
        from drivers.ports.micropython import store  # noqa: PLC0415
    return store.open_port(parse("store:" + folder), lambda: None)


def turn(keeper, port, now):
    """Let the store do what is asked."""
    for op, data in keeper.outbox():
        port.ask(op, data)
    while not port.settled():
        answer = port.read()
        if answer:
            keeper.receive(answer, now)
    keeper.event("drained", now)


def say(keeper, said):
    """Print what has become durable."""
    for shelf in keeper.shelves:
        for ident in range(said[shelf.group], shelf.durable_to):
            sys.stdout.write("durable " + str(shelf.group) + " " + str(ident) + chr(10))
        said[shelf.group] = shelf.durable_to
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


def main(folder):
    port = opened(folder)
    keeper = Keeper("s1/u1", SETTINGS)
    keeper.event("opened", 0)
    now = serial = 0
    while not keeper.ready:
        turn(keeper, port, now)
    said = [shelf.durable_to for shelf in keeper.shelves]
    while True:
        now += 1000
        for group in (3, serial % 4):
            serial += 1
            keeper.put(group, NOTE, b"%d." % serial * (1 + serial % 40), now)
        while keeper.at_risk() is not None:
            turn(keeper, port, now)
        say(keeper, said)


if __name__ == "__main__":
    main(sys.argv[1])
