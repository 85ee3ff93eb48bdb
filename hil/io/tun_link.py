# SPDX-License-Identifier: Apache-2.0
"""A satellite link for IP packets: two network namespaces with a TUN device each; needs root.

Does not terminate TCP (see `hil.io.shaped_path`): the kernel's TCP runs over the link, with
retransmissions and back-off. Each packet is delayed by the link's rate and delay, and it can be
lost. During an outage all packets are dropped. The far namespace has address 10.77.0.2, the near
one 10.77.0.1.

`TunLink.is_available()` tests whether the link is possible on this machine. It needs CAP_NET_ADMIN,
iproute2 and /dev/net/tun.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from types import TracebackType
from typing import Self

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_CLONE_NEWNET = 0x40000000
NEAR, FAR = "10.77.0.1", "10.77.0.2"
_QUEUE_BYTES = 64_000


def _run_ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _open_tun(namespace: str, name: str) -> int:
    """Open a TUN device in a namespace; a separate thread enters the namespace."""
    descriptors: list[int] = []

    def enter() -> None:
        with open(f"/run/netns/{namespace}", "rb") as place:
            if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), _CLONE_NEWNET):
                return
        descriptor = os.open("/dev/net/tun", os.O_RDWR)
        request = struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(descriptor, _TUNSETIFF, request)
        descriptors.append(descriptor)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if not descriptors:
        raise OSError(f"cannot open a TUN device in {namespace}")
    return descriptors[0]


class TunLink:
    """The link, in a `with` block. `delay_s` is one way, rates are in bit/s, `loss` is 0 to 1."""

    def __init__(
        self,
        delay_s: float = 0.3,
        up_bps: int = 22_000,
        down_bps: int = 88_000,
        loss: float = 0.0,
        seed: int = 1,
    ) -> None:
        self.is_up = True
        self.loss = loss
        self.bytes = [0, 0]
        self.dropped = 0
        tag = f"cl{os.getpid() % 100_000}"
        self.near, self.far = tag + "n", tag + "f"
        self._delay = delay_s
        self._rates = (up_bps, down_bps)
        self._rng = random.Random(seed)
        self._tuns: list[int] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def set_link_up(self, is_up: bool) -> None:
        """Begin or end an outage."""
        self.is_up = is_up

    @staticmethod
    def is_available() -> bool:
        """Return whether this machine can make namespaces and TUN devices."""
        if os.geteuid() or not os.path.exists("/dev/net/tun") or shutil.which("ip") is None:
            return False
        name = f"clp{os.getpid() % 100_000}"
        try:
            _run_ip("netns", "add", name)
            descriptor = _open_tun(name, "probe")
        except (OSError, subprocess.CalledProcessError):
            return False
        finally:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        os.close(descriptor)
        return True

    def __enter__(self) -> Self:
        for namespace, own, peer in ((self.near, NEAR, FAR), (self.far, FAR, NEAR)):
            _run_ip("netns", "add", namespace)
            self._tuns.append(_open_tun(namespace, "sat0"))
            _run_ip("-n", namespace, "addr", "add", own, "peer", peer, "dev", "sat0")
            _run_ip("-n", namespace, "link", "set", "sat0", "up", "mtu", "1400")
            _run_ip("-n", namespace, "link", "set", "lo", "up")
        self._thread = threading.Thread(target=self._move_packets, daemon=True)
        self._thread.start()
        return self

    def run(self, namespace: str, command: list[str]) -> "subprocess.Popen[bytes]":
        """Start a program in a namespace."""
        return subprocess.Popen(
            ["ip", "netns", "exec", namespace, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def _move_packets(self) -> None:
        """Move packets until the end of the link."""
        busy_until = [0.0, 0.0]
        heap: list[tuple[float, int, int, bytes]] = []
        order = 0
        while not self._stop.is_set():
            now = time.monotonic()
            while heap and heap[0][0] <= now:
                _, _, side, packet = heapq.heappop(heap)
                if self.is_up:
                    os.write(self._tuns[1 - side], packet)
                else:
                    self.dropped += 1
            pause = 0.05 if not heap else max(0.0, min(0.05, heap[0][0] - now))
            for descriptor in select.select(self._tuns, [], [], pause)[0]:
                side = self._tuns.index(descriptor)
                packet = os.read(descriptor, 2048)
                now = time.monotonic()
                queued_bytes = max(0.0, busy_until[side] - now) * self._rates[side] / 8
                lost = self._rng.random() < self.loss or queued_bytes > _QUEUE_BYTES
                if lost or not self.is_up or packet[0] >> 4 != 4:
                    self.dropped += 1
                    continue
                self.bytes[side] += len(packet)
                busy_until[side] = max(busy_until[side], now) + len(packet) * 8 / self._rates[side]
                order += 1
                heapq.heappush(heap, (busy_until[side] + self._delay, order, side, packet))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)
        for descriptor in self._tuns:
            os.close(descriptor)
        for namespace in (self.near, self.far):
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)
