# SPDX-License-Identifier: Apache-2.0
"""What a controller of a pair needs to know of its configuration."""

from collections import namedtuple

PairSettings = namedtuple(
    "PairSettings",
    (
        "node",
        "key",
        "bus_address",
        "char_us",
        "reads",
        "store",
        "link",
        "link_ports",
        "rotate_us",
        "remote",
    ),
)
"""`node`: "a" or "b". `key`: 32 bytes that protect beacons and link. `bus_address`, `char_us`:
address of the bus, and time of a character on it. `reads`: the devices, each with its unit address
and a short read (PDU). `store`, `link`: (port number, address) or None. `link_ports`: port numbers
of all configured links; the agent does not open them. `rotate_us`: 0 for no rotation. `remote`:
(port number, address of the store, boot state) of section `remote`, or None."""
