# SPDX-License-Identifier: Apache-2.0
"""Sections `modem` and `modem_store`: datagrams over a satellite modem, and its stored state.

Parts of `agent.config.schema`; loaded only if a configuration has one of the sections. `check`
covers a rule that a schema cannot state.
"""

from agent.core.schema.rules import enum, hexadecimal, integer, list_of, object_of, text
from drivers.modems import REGIONS
from drivers.modems.regions.rule import SYSTEMS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CONSTELLATION = object_of(
    "evenly spread circular orbits (a Walker pattern)",
    ["planes", "per_plane", "altitude_km", "inclination_mdeg"],
    {
        "planes": integer("orbital planes", 1, 32),
        "per_plane": integer("satellites in each plane", 1, 64),
        "altitude_km": integer("altitude of the orbits, km", 200, 2000),
        "inclination_mdeg": integer("inclination, 1/1000 degree", 0, 180_000),
        "spread_deg": integer("range of the nodes of the planes: 180 or 360 degrees", 90, 360, 180),
        "phasing_half": integer(
            "phase from plane to plane, in half slots of the pattern", 0, 4096, 0
        ),
        "node_mdeg": integer("node of the first satellite, 1/1000 degree", 0, 360_000, 0),
        "phase_mdeg": integer("its angle from the node, 1/1000 degree", 0, 360_000, 0),
        "epoch_s": integer("UTC of node and phase, seconds since 1970", 0, 4_000_000_000, 0),
    },
)

MODEM = object_of(
    "datagrams over a satellite modem",
    ["port", "kind", "region"],
    {
        "port": text("port of the modem, for example serial:/dev/ttyUSB2?baud=19200"),
        "kind": enum(
            "sbd: Iridium 9602/9603; imt: Iridium 9704; ntn: NB-IoT by satellite; "
            "ip: a network interface; rdss: BeiDou short messages",
            ["sbd", "imt", "ntn", "ip", "rdss"],
        ),
        "region": enum("country of the radio rules; the position must be in it", list(REGIONS)),
        "system": enum(
            "system of the radio rule; default: sbd, imt, ntn_l, certus for ip, rdss",
            list(SYSTEMS),
        ),
        "position_s": integer(
            "time for which the last known position counts, s; then nothing is transmitted",
            3_600,
            31_536_000,
            604_800,
        ),
        "licence": text("licence or approval for transmissions", 64),
        "key": hexadecimal(
            "secret shared with the relay: 32 bytes as 64 hexadecimal digits", 64, 64
        ),
        "day_bytes": integer(
            "largest number of billed bytes in a UTC day", 0, 1_000_000_000, 5_000
        ),
        "window_bytes": integer(
            "largest number of billed bytes in a contact window, without alarms; 0: no limit",
            0,
            10_000_000,
            0,
        ),
        "alarm_reserve_pct": integer("part of day_bytes reserved for alarms, %", 0, 90, 20),
        "bill_least": integer("smallest billed size of a datagram, bytes", 1, 1_000, 50),
        "bill_step": integer("billing increment, bytes", 1, 1_000, 50),
        "overhead_bytes": integer("bytes billed in addition for each datagram", 0, 100, 0),
        "min_signal": integer("lowest signal for messages other than alarms, bars", 0, 5, 1),
        "live_s": integer("interval of rows with all readings, s; 0: none", 0, 86_400, 900),
        "ack_s": integer(
            "time-out for the acknowledgement of the ground relay, s", 30, 604_800, 21_600
        ),
        "power": enum(
            "use of the radio. always: on; windows: in contact windows and for alarms; "
            "alarms: for alarms only (battery)",
            ["always", "windows", "alarms"],
            "windows",
        ),
        "constellation": _CONSTELLATION,
        "elements": list_of(
            "two-line elements of some satellites, two lines each",
            text("a line of a two-line element set", 69, 69),
            2,
            48,
        ),
        "mask_deg": {
            "type": "array",
            "minItems": 1,
            "maxItems": 36,
            "default": [8],
            "items": integer("lowest unobstructed elevation of a sector, degrees", 0, 85),
            "description": "horizon mask: equal sectors of azimuth, from north over east",
        },
        "topic": integer("imt: topic of the messages", 64, 65_535, 244),
        "address": text("ntn: HOST:PORT for UDP; without it NIDD is used", 100),
        "peer": integer("rdss: address of the receiver of the messages", 0, 9_999_999, 0),
    },
)

MODEM_STORE = object_of(
    "state of the satellite link that survives a restart",
    ["port"],
    {"port": text("folder that survives a power cut, for example store:/var/lib/coldloop/link")},
)


def check(raw: "dict[str, Any]", _profiles: "dict[str, Any]", errors: "list[str]") -> None:
    """Check that a message counts as delivered only with a proof.

    The OK of an NTN modem is that of the network, and one that comes twice ends the next message.
    """
    modem = raw.get("modem")
    line = "modem: kind ntn needs key: an OK of its network is no receipt"
    if modem is not None and modem["kind"] == "ntn" and "key" not in modem and line not in errors:
        errors.append(line)  # the check of both sections
