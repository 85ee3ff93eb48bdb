# SPDX-License-Identifier: Apache-2.0
"""The keys of `[row]`: unit and meaning of each, for people.

Does not contain defaults and limits; see `hil.bench.testbed_settings`. A test compares the keys.
"""

from typing import NamedTuple


class RowText(NamedTuple):
    """Unit ("": none) and meaning of a key of `[row]`."""

    unit: str
    meaning: str


ROW_TEXTS: dict[str, RowText] = {
    "it_kw": RowText("kW", "IT load at the start, for size 1"),
    "fws_c": RowText("°C", "temperature of the facility water"),
    "pumps": RowText("", "number of pumps"),
    "setpoint_c": RowText("°C", "set-point of the supply temperature"),
    "setpoint_kpa": RowText("kPa", "set-point of the differential pressure"),
    "receiver_latency_ms": RowText("ms", "latency of the sentences of the GNSS receiver"),
    "receiver_dialect": RowText("", 'vendor dialect of the receiver; "": the basic receiver'),
    "receiver_baud": RowText("Bd", "baud rate of the receiver's line; 0: that of the dialect"),
    "receiver_pps": RowText("", "the agent gets the pulses of the receiver; needs a dialect"),
    "receivers": RowText("", "number of receivers; the second and third are of `receivers`"),
    "ppm_per_c": RowText("ppm/K", "temperature coefficient of the agent's oscillator"),
    "start_utc": RowText("", 'UTC at the start of a virtual run, such as "2026-12-31T23:50:00Z"'),
    "drift_ppm": RowText("ppm", "rate error of the agent's oscillator"),
    "broker_latency_ms": RowText("ms", "latency of the link to the broker, each way"),
    "meters": RowText("", "number of power meters on the bus"),
    "humidity_sensors": RowText("", "number of humidity sensors on the bus"),
    "room_c": RowText("°C", "temperature of the room"),
    "room_humidity_pct": RowText("%", "relative humidity of the room"),
    "pipes": RowText("", "volume of the pipes, a multiple of the default; it sets the dead time"),
    "valve_size": RowText("", "facility flow with an open valve, a multiple of the default"),
    "exchanger_model": RowText("", "0: the section `cooling` has no model of the exchanger"),
    "proof_store": RowText("", "1: the section `cooling` has a store for its proof records"),
    "outdoor_sensors": RowText("", "1: a sensor of the outdoor air is on the bus"),
    "outdoor_c": RowText("°C", "temperature of the outdoor air"),
    "fans": RowText("", "number of fans of the dry cooler; 0: the facility water has `fws_c`"),
    "size": RowText("", "size of the row as a multiple of 100 kW"),
    "schedule": RowText("", 'scheduled actions of `throttle`: "SECOND ACTION VALUE; …"'),
    "limits_store": RowText("", "1: the section `throttle` has a store for schedule and limits"),
    "stagger_ms": RowText("ms", "delay of a scheduled action from one slot to the next"),
    "slot": RowText("", "slot of this row among 64 slots that act in sequence"),
    "parts": RowText("", "optional sections of the configuration, separated by commas"),
    "modem": RowText("", "kind of the satellite modem, if `parts` names `modem`"),
    "sky": RowText("", "satellites that the modem receives: always, polar66 or sso12"),
    "mask_deg": RowText("deg", "elevation below which the modem receives no satellite"),
    "modem_success_pct": RowText("%", "success rate of sessions; 100: the signal decides"),
    "modem_day_bytes": RowText("bytes", "budget of the modem for a day"),
    "modem_live_s": RowText("s", "period of the live datagrams"),
    "modem_acks": RowText("", "the ground acknowledges datagrams with a shared key (ntn: always)"),
    "modem_power": RowText("", "when the modem has power"),
    "controllers": RowText("", "2: two redundant controllers on the line of the row"),
    "pair_link": RowText("", "true: both controllers have a link and a store each"),
    "pair_uplink": RowText("", "true: both controllers have a receiver, and one broker"),
    "units": RowText("", "2 to 16: CDUs of a group on one facility loop; it_kw is of each"),
    "shared_header": RowText("", "true: the units of the group pump into one header"),
    "rotate_h": RowText("h", "time between two changes of the lead of the group"),
}
