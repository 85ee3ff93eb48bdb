# SPDX-License-Identifier: Apache-2.0
"""Captures of the emulated receiver of the bench, in the dialects of several vendors."""

import json
from collections.abc import Callable
from functools import cache
from random import Random

from drivers.tools import nmea_decode
from drivers.tools.capture.json_line import count_totals
from drivers.tools.capture.record import build_record
from hil.devices.gnss.basic_receiver import BasicReceiver, NmeaStyle
from tests.portable.support.nmeatext import line

DUBAI_E7 = (252_048_000, 552_708_000)
START_US = 1_795_564_800_000_000  # 2026-11-25T00:00:00Z

STYLES = {
    "nmea411": NmeaStyle(),
    "beidou-talker": NmeaStyle(talker="GN", beidou="BD", extended=False),
}


@cache
def capture(style: str = "nmea411", seconds: int = 60, seed: int = 3) -> bytes:
    """Return the bytes of the emulated receiver for so many seconds."""
    receiver = BasicReceiver(
        DUBAI_E7, lambda mono: mono + START_US, Random(seed), style=STYLES[style]
    )
    stream = b""
    for _ in range(seconds):
        for _, data in receiver.wake(receiver.deadline()):
            stream += data
    return stream


def _rewrite_epochs(stream: bytes, rewrite: "Callable[[list[bytes]], list[bytes]]") -> bytes:
    """Rewrite each epoch of a capture."""
    out: list[bytes] = []
    epoch: list[bytes] = []
    for text in stream.splitlines(keepends=True):
        epoch.append(text)
        if text[3:6] == b"ZDA":
            out += rewrite(epoch)
            epoch = []
    return b"".join(out)


def _select_kinds(epoch: list[bytes], *kinds: bytes) -> list[bytes]:
    return [text for kind in kinds for text in epoch if text[3:6] == kind]


def casic(seconds: int = 60) -> bytes:
    """GGA GLL GSA GSV RMC VTG ZDA TXT: sentences with time first and last."""

    def rewrite(epoch: list[bytes]) -> list[bytes]:
        f = _select_kinds(epoch, b"RMC")[0].decode().split(",")
        gll = line(f"GNGLL,{f[3]},{f[4]},{f[5]},{f[6]},{f[1]},A,A")
        vtg = line("GNVTG,225.79,T,,M,0.00,N,0.00,K,A")
        return [
            *_select_kinds(epoch, b"GGA"),
            gll,
            *_select_kinds(epoch, b"GSA", b"GSV", b"RMC"),
            vtg,
            *_select_kinds(epoch, b"ZDA"),
            line("GPTXT,01,01,01,ANTENNA OK"),
        ]

    return _rewrite_epochs(capture(seconds=seconds), rewrite)


def gsv_first(seconds: int = 60) -> bytes:
    """GSV before the first time, no ZDA."""
    return _rewrite_epochs(
        capture(seconds=seconds), lambda epoch: _select_kinds(epoch, b"GSV", b"GGA", b"RMC", b"GSA")
    )


DIALECTS: "dict[str, Callable[[], bytes]]" = {
    "nmea411": capture,
    "beidou-talker": lambda: capture("beidou-talker"),
    "casic": casic,
    "view-first": gsv_first,
}

_CHUNK = 65_536


def general_json(stream: bytes, vendor: "str | None" = None) -> str:
    """Return what `nmea decode --json` prints: by the driver of the agent, and `json`."""
    receiver = nmea_decode.make_receiver("-", vendor)
    chunks = [(stream[at : at + _CHUNK], 0) for at in range(0, len(stream), _CHUNK)]
    epochs = nmea_decode.iter_epochs(receiver, iter(chunks))
    lines = [json.dumps(build_record(epoch)) for epoch in epochs]
    totals = count_totals(receiver.framer, receiver.decoder, len(lines))
    return "\n".join([*lines, json.dumps({"summary": totals})]) + "\n"
