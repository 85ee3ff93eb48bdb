"""Captures made by the bench's emulated receiver, in the dialects of several makers."""

from collections.abc import Callable
from functools import cache
from random import Random

from hil.devices.gnss.basic_receiver import Receiver, Style
from tests.portable.support.nmeatext import line

DUBAI_E7 = (252_048_000, 552_708_000)
START_US = 1_795_564_800_000_000  # 2026-11-25T00:00:00Z

STYLES = {
    "nmea411": Style(),
    "beidou-talker": Style(talker="GN", beidou="BD", extended=False),
}


@cache
def capture(style: str = "nmea411", seconds: int = 60, seed: int = 3) -> bytes:
    """What the emulated receiver sends in that many seconds."""
    receiver = Receiver(DUBAI_E7, lambda mono: mono + START_US, Random(seed), style=STYLES[style])
    stream = b""
    for _ in range(seconds):
        for _, data in receiver.wake(receiver.deadline()):
            stream += data
    return stream


def _by_epoch(stream: bytes, again: "Callable[[list[bytes]], list[bytes]]") -> bytes:
    """Write each epoch of a capture anew."""
    out: list[bytes] = []
    epoch: list[bytes] = []
    for text in stream.splitlines(keepends=True):
        epoch.append(text)
        if text[3:6] == b"ZDA":
            out += again(epoch)
            epoch = []
    return b"".join(out)


def _kinds(epoch: list[bytes], *kinds: bytes) -> list[bytes]:
    return [text for kind in kinds for text in epoch if text[3:6] == kind]


def casic(seconds: int = 60) -> bytes:
    """GGA GLL GSA GSV RMC VTG ZDA TXT: time first and last."""

    def again(epoch: list[bytes]) -> list[bytes]:
        f = _kinds(epoch, b"RMC")[0].decode().split(",")
        gll = line(f"GNGLL,{f[3]},{f[4]},{f[5]},{f[6]},{f[1]},A,A")
        vtg = line("GNVTG,225.79,T,,M,0.00,N,0.00,K,A")
        return [
            *_kinds(epoch, b"GGA"),
            gll,
            *_kinds(epoch, b"GSA", b"GSV", b"RMC"),
            vtg,
            *_kinds(epoch, b"ZDA"),
            line("GPTXT,01,01,01,ANTENNA OK"),
        ]

    return _by_epoch(capture(seconds=seconds), again)


def view_first(seconds: int = 60) -> bytes:
    """GSV before the first time, no ZDA."""
    return _by_epoch(
        capture(seconds=seconds), lambda epoch: _kinds(epoch, b"GSV", b"GGA", b"RMC", b"GSA")
    )


DIALECTS: "dict[str, Callable[[], bytes]]" = {
    "nmea411": capture,
    "beidou-talker": lambda: capture("beidou-talker"),
    "casic": casic,
    "view-first": view_first,
}
