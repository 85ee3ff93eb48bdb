# SPDX-License-Identifier: Apache-2.0
"""The output of `nmea decode --json` by the driver of the agent and `json`: the expected text."""

import json

from drivers.tools import nmea_decode
from drivers.tools.capture.json_line import count_totals
from drivers.tools.nmea_json import build_record

_CHUNK = 65_536


def general_json(stream: bytes, vendor: "str | None" = None) -> str:
    """Return the lines for a file with these bytes."""
    receiver = nmea_decode.make_receiver("-", vendor)
    chunks = [(stream[at : at + _CHUNK], 0) for at in range(0, len(stream), _CHUNK)]
    epochs = nmea_decode.iter_epochs(receiver, iter(chunks))
    lines = [json.dumps(build_record(epoch)) for epoch in epochs]
    totals = count_totals(receiver.framer, receiver.decoder, len(lines))
    return "\n".join([*lines, json.dumps({"summary": totals})]) + "\n"
