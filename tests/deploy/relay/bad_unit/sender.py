# SPDX-License-Identifier: Apache-2.0
"""Process of the bad unit: publishes mutated messages at a rate, with QoS 1.

Not a test; `test_delay` starts it: `sender PORT RATE SEED`. A word on its input is the last level
of the topic from then on: `tele`, or another one that no relay takes. So the load of the machine
and of the broker is the same in both cases. The words `names` and `no_names`: a schema, a block and
a state of another unit each time, with and without a relay that takes them. At the end of the input
it prints how many it has sent.
"""

import itertools
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.deploy.relay.bad_unit.mutator import BAD, Mutator
from tests.deploy.relay.relay_rig import ALARM, bulk, pack

_PREPARED = 4000
_NAMES = {"names": "coldloop/v1", "no_names": "coldloop/v0"}


def main(port: int, rate: float, seed: int) -> None:
    mutator = Mutator(seed)
    prepared = [message for _ in range(_PREPARED) for message in mutator.messages()]
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "bad")
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", port)
    client.loop_start()
    first = pack(ALARM, bulk(1))
    levels = ["void"]
    ended = threading.Event()

    def follow() -> None:
        levels.extend(line.strip() for line in sys.stdin)
        ended.set()

    threading.Thread(target=follow, daemon=True).start()
    print("ready", flush=True)
    sent: dict[str, int] = {}
    due = time.monotonic()
    for message in itertools.cycle(prepared):
        if ended.is_set():
            break
        level = levels[-1]
        sent[level] = sent.get(level, 0) + 1
        if level in _NAMES:
            root = f"{_NAMES[level]}/bad/x{sum(sent.values())}"
            client.publish(f"{root}/tele", first, 1)
            client.publish(f"{root}/state", b'{"online":true,"version":"1"}', 1)
        else:
            client.publish(f"coldloop/v1/{BAD}/{level}", message, 1)
        due = max(due + 1 / rate, time.monotonic() - 0.1)
        time.sleep(max(0.0, due - time.monotonic()))
    print(sent, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
