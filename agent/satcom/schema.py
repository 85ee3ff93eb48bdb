"""The configuration's section `modem`: the satellite link by datagrams.

Part of `agent.config.schema`; only read when a configuration is loaded.
"""

from agent.core.schema_rules import enum, hexadecimal, integer, list_of, object_of, text

_CONSTELLATION = object_of(
    "evenly spread circular orbits (a Walker pattern)",
    ["planes", "per_plane", "altitude_km", "inclination_mdeg"],
    {
        "planes": integer("orbital planes", 1, 32),
        "per_plane": integer("satellites in each", 1, 64),
        "altitude_km": integer("height of the orbits, km", 200, 2000),
        "inclination_mdeg": integer("inclination, 1/1000 degree", 0, 180_000),
        "spread_deg": integer("what the planes are spread over: 180 or 360 degrees", 90, 360, 180),
        "phasing_half": integer("plane to plane, half slots of the pattern", 0, 4096, 0),
        "node_mdeg": integer("node of the first satellite, 1/1000 degree", 0, 360_000, 0),
        "phase_mdeg": integer("its place from the node, 1/1000 degree", 0, 360_000, 0),
        "epoch_s": integer("UTC of that, seconds since 1970", 0, 4_000_000_000, 0),
    },
)

MODEM = object_of(
    "a satellite modem and the carrier that uses it",
    ["port", "kind", "region"],
    {
        "port": text("the modem's port, such as serial:/dev/ttyUSB2?baud=19200"),
        "kind": enum(
            "sbd Iridium 9602/9603, imt Iridium 9704, ntn NB-IoT by satellite, "
            "ip a network interface, rdss BeiDou short messages",
            ["sbd", "imt", "ntn", "ip", "rdss"],
        ),
        "region": enum("whose rules hold", ["uae", "south_africa", "bench"]),
        "licence": text("the licence or approval under which it transmits", 64),
        "key": hexadecimal("32 bytes shared with the relay, 64 hexadecimal digits", 64, 64),
        "day_bytes": integer("billed bytes a UTC day, never exceeded", 0, 1_000_000_000, 5_000),
        "window_bytes": integer(
            "billed bytes a window, alarms apart; 0: no limit", 0, 10_000_000, 0
        ),
        "alarm_reserve_pct": integer("share of the day that only alarms may use, %", 0, 90, 20),
        "bill_least": integer("bytes that the shortest datagram is billed as", 1, 1_000, 50),
        "bill_step": integer("billed bytes go in such steps", 1, 1_000, 50),
        "overhead_bytes": integer("bytes that are billed besides, each datagram", 0, 100, 0),
        "min_signal": integer("bars from which on others than alarms are sent", 0, 5, 1),
        "live_s": integer("seconds between rows of all readings; 0: none", 0, 86_400, 900),
        "ack_s": integer("seconds to wait for the ground's acknowledgement", 30, 604_800, 21_600),
        "power": enum(
            "the radio is on always, in windows and for alarms, or for alarms alone (battery)",
            ["always", "windows", "alarms"],
            "windows",
        ),
        "constellation": _CONSTELLATION,
        "elements": list_of(
            "two-line elements, in pairs, of a few satellites",
            text("a line of two-line elements", 69, 69),
            2,
            48,
        ),
        "mask_deg": {
            "type": "array",
            "minItems": 1,
            "maxItems": 36,
            "default": [8],
            "items": integer("lowest open elevation of a sector, degrees", 0, 85),
            "description": "obstruction: equal sectors of azimuth, from north over east",
        },
        "topic": integer("imt: topic that messages go to", 64, 65_535, 244),
        "address": text("ntn: HOST:PORT for UDP; without it, NIDD", 100),
        "peer": integer("rdss: address that messages go to", 0, 9_999_999, 0),
    },
)
