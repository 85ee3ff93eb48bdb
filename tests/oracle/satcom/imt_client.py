# SPDX-License-Identifier: Apache-2.0
"""Runs the vendor's 9704 library against a serial port; prints what it saw as JSON.

Usage: python -m tests.oracle.satcom.imt_client PORT. A program of its own: the C library holds the
interpreter while it reads, and ends the process after some errors.
"""

import json
import sys
import time
from typing import Any

from rockblock9704 import RockBlock9704

LONG = bytes(i * 7 & 255 for i in range(5_000))


def _poll_until(modem: Any, events: list[Any], count: int) -> None:
    end = time.monotonic() + 20
    while len(events) < count and time.monotonic() < end:
        modem.poll()


def main(port: str) -> dict[str, Any]:
    """Run all calls of the library that need no other hardware."""
    modem = RockBlock9704()
    seen: dict[str, Any] = {"begin": modem.begin(port)}
    for name in ("hardware_version", "serial_number", "imei", "board_temp", "card_present",
                 "sim_connected", "iccid", "firmware_version", "signal"):  # fmt: skip
        seen[name] = getattr(modem, "get_" + name)()
    topics: list[Any] = []
    modem.set_message_provisioning_callback(topics.append)
    seen["activity"] = modem.set_message_activity_status(True)
    seen["activity_status"] = modem.get_message_activity_status()
    seen["send"] = modem.send_message(b"hello", timeout=20)
    seen["send_long"] = modem.send_message(LONG, timeout=20)
    seen["send_topic"] = modem.send_message(b"red", topic=modem.RED_TOPIC, timeout=20)
    seen["send_unknown"] = modem.send_message(b"no", topic=999, timeout=2)
    seen["resync"] = modem.resync_service_config()
    message = None
    end = time.monotonic() + 15
    seen["trigger"] = modem.send_message(b"fetch", timeout=20)
    while not message and time.monotonic() < end:
        message = modem.receive_message()
    seen["received"] = (message or b"").hex()
    done: list[Any] = []
    started: list[Any] = []
    modem.set_mo_message_complete_callback(lambda *values: done.append(values))
    modem.set_mo_message_started_callback(lambda *values: started.append(values))
    seen["async"] = modem.send_message_async(b"later", topic=244)
    _poll_until(modem, done, 1)
    seen["async_done"] = done
    seen["async_started"] = started
    seen["end"] = modem.end()
    return seen


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])), flush=True)
