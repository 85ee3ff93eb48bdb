# SPDX-License-Identifier: Apache-2.0
"""BACnet/IP requests made manually, and replies decoded by tshark (Wireshark's dissector)."""

from __future__ import annotations

import socket
import subprocess
import tempfile
from pathlib import Path

from tests.support.programs import require_program

READ_RANGE, ACKNOWLEDGE, EVENTS, READ, WRITE = 26, 0, 29, 12, 15


def datagram(apdu: bytes) -> bytes:
    """Return a unicast datagram that expects a reply."""
    return b"\x81\x0a" + (len(apdu) + 6).to_bytes(2, "big") + b"\x01\x04" + apdu


def confirmed(service: int, data: bytes, invoke: int = 1) -> bytes:
    """Return a confirmed request; the client takes 1476 bytes."""
    return datagram(bytes((0, 5, invoke, service)) + data)


def object_id(kind: int, instance: int, context: int = 0) -> bytes:
    """Return an object identifier with a context tag."""
    return bytes((context << 4 | 0x0C,)) + (kind << 22 | instance).to_bytes(4, "big")


def ask(port: int, request: bytes, source: str = "127.0.0.1") -> bytes:
    """Send a datagram from an address, return the reply."""
    with client_socket(source, port) as sock:
        sock.settimeout(5)
        sock.sendto(request, ("127.0.0.1", port))
        return sock.recv(2000)


def client_socket(source: str, server_port: int) -> socket.socket:
    """Return a UDP socket with an address of the loopback and a port that is not the server's.

    bacpypes3 takes each address of 127.0.0.0/8 with its own port for itself and sends it no reply.
    The system can choose this port for another address of the loopback.
    """
    while True:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((source, 0))
        if sock.getsockname()[1] != server_port:
            return sock
        sock.close()


def dissect(data: bytes) -> str:
    """Return the text of tshark for a datagram; the test fails if it is malformed."""
    tshark, text2pcap = require_program("tshark"), require_program("text2pcap")
    with tempfile.TemporaryDirectory() as folder:
        dump, capture = Path(folder, "dump"), Path(folder, "capture")
        dump.write_text("000000 " + " ".join(f"{byte:02x}" for byte in data) + "\n")
        subprocess.run(
            [text2pcap, "-q", "-u", "47808,47808", str(dump), str(capture)],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        done = subprocess.run(
            [tshark, "-r", str(capture), "-V"],
            check=True, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
    text = done.stdout.partition("BACnet Virtual Link Control")[2]
    assert text
    assert "Malformed" not in text, text
    return text
