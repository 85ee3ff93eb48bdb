# SPDX-License-Identifier: Apache-2.0
"""An MQTT 5 client on a blocking socket, on both interpreters: publishes and prints the result.

    python -m tests.oracle.mqtt_writer PORT COUNT

Prints `acknowledged N …` with the tags in order, then `aliased BYTES` (sent in PUBLISH packets).
"""

import socket
import sys
import time

from protocols.mqtt.client_v5 import MqttClientV5

TOPIC = "coldloop/v1/site/unit-one/tele"


def main(port, count):
    connection = socket.socket()
    connection.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
    connection.settimeout(0.2)
    client = MqttClientV5("writer", message_expiry_s=300)
    client.set_publish_early(True)
    client.connection_opened(0)
    acknowledged, events, sent_bytes, next_tag = [], [], 0, 0
    end = time.time() + 20
    while len(acknowledged) < count and time.time() < end:
        while next_tag < count and client.publish(TOPIC, b"%03d" % next_tag, 1, False, next_tag):
            next_tag += 1
        for packet in client.take_output():
            sent_bytes += len(packet) if packet[0] & 0xF0 == 0x30 else 0
            connection.send(packet)
        try:
            client.receive(connection.recv(4096), 0)
        except OSError:
            continue
        for event in client.take_events():
            if event[0] == "acknowledged":
                acknowledged.append(event[1])
            else:
                events.append(event)
    print("acknowledged", *acknowledged)
    print("aliased", sent_bytes)
    print("events", events)


main(int(sys.argv[1]), int(sys.argv[2]))
