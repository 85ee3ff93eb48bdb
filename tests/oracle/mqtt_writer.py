"""An MQTT 5 client on a blocking socket, on both interpreters: publishes, and says what happened.

    python -m tests.oracle.mqtt_writer PORT COUNT

Says `acknowledged N …` with the tags in order, then `aliased BYTES` (sent in PUBLISH packets).
"""

import socket
import sys
import time

from protocols.mqtt.client_v5 import Client5

TOPIC = "coldloop/v1/site/unit-one/tele"


def main(port, count):
    link = socket.socket()
    link.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
    link.settimeout(0.2)
    client = Client5("writer")
    client.expiry_s = 300
    client.eager = True
    client.opened(0)
    done, events, sent, said = [], [], 0, 0
    end = time.time() + 20
    while len(done) < count and time.time() < end:
        while said < count and client.publish(TOPIC, b"%03d" % said, 1, False, said):
            said += 1
        for packet in client.out():
            sent += len(packet) if packet[0] & 0xF0 == 0x30 else 0
            link.send(packet)
        try:
            client.receive(link.recv(4096), 0)
        except OSError:
            continue
        for event in client.events():
            if event[0] == "acknowledged":
                done.append(event[1])
            else:
                events.append(event)
    print("acknowledged", *done)
    print("aliased", sent)
    print("events", events)


main(int(sys.argv[1]), int(sys.argv[2]))
