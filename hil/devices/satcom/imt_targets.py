# SPDX-License-Identifier: Apache-2.0
"""What an Iridium 9704 reports and stores by JSPR: versions, SIM, hardware, topics, state.

Sources: the RockBLOCK-9704 library (src/jspr.h: codes and fields) and published traces of a modem
with API 1.7. A request before the choice of an API version gets 400, a second setting 402, an
unknown target 404, invalid fields 407. Does not transfer messages; see `imt_modem`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

NO_ERROR, UNSOLICITED = 200, 299
NO_VERSION, BAD_VERB, ALREADY_SET, TOO_LONG, UNKNOWN, MALFORMED, NOT_ALLOWED, BAD_JSON = range(
    400, 408
)
NO_SIM, NOT_PROVISIONED = 410, 418

_VERSIONS = ((1, 7, 0), (1, 6, 1), (1, 6, 0), (1, 0, 0))
"""Major, minor and patch number of each version of the interface."""
_FIRMWARE = {
    "version": {"major": 1, "minor": 5, "patch": 5, "build_info": "EMULATED"},
    "hash": "00" * 32,
}
_INTERFACES = ("none", "local", "remote", "internal")
_STATES = ("inactive", "active", "cal_test", "hw_self_test", "rf_scan", "loopback")
_DAY_S = 86_400


class Topic(NamedTuple):
    """A topic for which the modem is provisioned."""

    number: int
    name: str
    priority: str = "Medium"


CLOUDLOOP = (
    Topic(244, "RAW", "High"),
    Topic(313, "PURPLE"),
    Topic(314, "PINK"),
    Topic(315, "RED"),
    Topic(316, "ORANGE"),
    Topic(317, "YELLOW"),
)
"""The topics of the vendor's service."""

Fields = dict[str, Any]
Answer = tuple[int, Fields]


class ImtTargets:
    """The state that requests read and set."""

    def __init__(self, serial: str, topics: tuple[Topic, ...] = CLOUDLOOP) -> None:
        self.serial = serial
        self.topics = topics
        self.board_c = 24
        self.card_present = True
        self.power_up()

    def power_up(self) -> None:
        """Forget all settings."""
        self.version: Fields | None = None
        self.interface = "none"
        self.state = "inactive"
        self.reports_activity = False

    @property
    def active(self) -> bool:
        """Whether the radio works."""
        return self.state == "active"

    def has_topic(self, number: object) -> bool:
        """Return whether messages of a topic can be sent."""
        return any(topic.number == number for topic in self.topics)

    def boot_info(self) -> Fields:
        """Return what the modem reports after a start."""
        version = _FIRMWARE["version"]
        return {"image_type": "production", "version": version, "boot_source": "primary"}

    def sim_status(self) -> Fields:
        """Return the state of the SIM card."""
        connected = self.card_present and self.interface == "internal"
        iccid = "8988169771000000000" if connected else ""
        return {"card_present": self.card_present, "sim_connected": connected, "iccid": iccid}

    def answer(self, put: bool, target: str, fields: Fields) -> Answer:
        """Answer a request for anything but messages and the sky."""
        if target == "apiVersion":
            return self._api_version(put, fields)
        if self.version is None:
            return NO_VERSION, {}
        if target in ("simConfig", "operationalState", "messageActivityStatus", "serviceConfig"):
            return self._settings(put, target, fields)
        reports: dict[str, Fields] = {
            "hwInfo": {
                "hw_version": "0x0601",
                "serial_number": "e" + self.serial[-5:],
                "imei": self.serial,
                "board_temp": self.board_c,
            },
            "simStatus": self.sim_status(),
            "firmware": {"slot": fields.get("slot", "primary"), "validity": True, **_FIRMWARE},
            "messageProvisioning": {"provisioning": [_describe(topic) for topic in self.topics]},
        }
        if target not in reports:
            return UNKNOWN, {}
        return (BAD_VERB, {}) if put else (NO_ERROR, reports[target])

    def _api_version(self, put: bool, fields: Fields) -> Answer:
        names = ("major", "minor", "patch")
        supported = [dict(zip(names, version, strict=True)) for version in _VERSIONS]
        if put:
            chosen = fields.get("active_version")
            if chosen not in supported:
                return BAD_JSON, {}
            if self.version is not None:
                return ALREADY_SET, {}
            self.version = chosen
        report: Fields = {"supported_versions": supported}
        if self.version is not None:
            report["active_version"] = self.version
        return NO_ERROR, report

    def _settings(self, put: bool, target: str, fields: Fields) -> Answer:
        if target == "simConfig":
            return self._sim_config(fields) if put else (NO_ERROR, {"interface": self.interface})
        if target == "operationalState":
            return self._state(fields) if put else (NO_ERROR, {"state": self.state, "reason": 0})
        if target == "serviceConfig":
            valid = put and isinstance(fields.get("resync"), bool)
            return (NO_ERROR, {"resync": fields["resync"]}) if valid else (BAD_JSON, {})
        if put:
            if not isinstance(fields.get("enabled"), bool):
                return BAD_JSON, {}
            self.reports_activity = fields["enabled"]
        return NO_ERROR, {"enabled": self.reports_activity, "active": False}

    def _sim_config(self, fields: Fields) -> Answer:
        interface = fields.get("interface")
        if interface not in _INTERFACES:
            return BAD_JSON, {}
        if interface == self.interface:
            return ALREADY_SET, {}
        self.interface = str(interface)
        return NO_ERROR, {"interface": self.interface}

    def _state(self, fields: Fields) -> Answer:
        state = fields.get("state")
        if state not in _STATES:
            return BAD_JSON, {}
        if state == self.state:
            return NOT_ALLOWED, {}
        if state == "active" and not self.sim_status()["sim_connected"]:
            return NO_SIM, {}
        if state != "inactive" and self.state != "inactive":
            return NOT_ALLOWED, {}
        self.state = str(state)
        return NO_ERROR, {"state": self.state}


def _describe(topic: Topic) -> Fields:
    return {
        "topic_id": topic.number,
        "topic_name": topic.name,
        "priority": topic.priority,
        "discard_time_seconds": 7 * _DAY_S,
        "max_queue_depth": 99,
    }
