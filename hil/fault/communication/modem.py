# SPDX-License-Identifier: Apache-2.0
"""Faults of the satellite link: sky, modem, gateway, ground.

All of them need a row with a modem (`parts = "modem, modem_store"`). A fault acts on the kind of
modem that the row has. If this kind does not have the fault, BenchError is raised.
"""

from typing import Any

from hil.bench.testbed import Testbed
from hil.bench.testbed_satcom import SatcomTestbed
from hil.errors import BenchError
from hil.fault.base import FaultType, attribute_fault
from hil.io.endpoints import SerialEndpoint

_MAX_RING_POSITION = 64


def _require_satcom(testbed: Testbed) -> SatcomTestbed:
    if testbed.satcom is None:
        raise BenchError('this fault needs a modem: add parts = "modem, modem_store" to [row]')
    return testbed.satcom


def _require_modem(testbed: Testbed, name: str) -> Any:
    device = _require_satcom(testbed).device
    if not hasattr(device, name):
        raise BenchError(f"a modem of kind {testbed.settings.modem} has no fault {name}")
    return device


def _inject_into_modem(testbed: Testbed, name: str, value: object) -> None:
    _require_modem(testbed, name).inject(name, value)


def _reset_modem(testbed: Testbed) -> None:
    _require_modem(testbed, "reset").reset(testbed.world.now)


def _reset_next(testbed: Testbed) -> None:
    if hasattr(_require_satcom(testbed).device, "reset_next"):
        _inject_into_modem(testbed, "reset_next", True)
    else:
        _inject_into_modem(testbed, "reset_in", "transfer")


def _send_ring(testbed: Testbed) -> None:
    for _, data in _require_modem(testbed, "send_ring_alert").send_ring_alert():
        _require_satcom(testbed).inject(data)


def _require_modem_port(testbed: Testbed) -> SerialEndpoint:
    if testbed.modem_port is None:
        raise BenchError("this fault needs a modem in virtual time")
    return testbed.modem_port


def _unplug_modem(testbed: Testbed) -> None:
    _require_satcom(testbed)
    _require_modem_port(testbed).unplug()


def _plug_modem(testbed: Testbed) -> None:
    _require_modem_port(testbed).plug()


def _replay_ack(testbed: Testbed) -> None:
    satcom = _require_satcom(testbed)
    if satcom.ground.last_ack:
        satcom.gateway.queue_downlink(satcom.device.serial, satcom.ground.last_ack)


MODEM_EVENTS: dict[str, FaultType] = {
    "sky_blocked": FaultType(
        "the modem receives no satellite",
        *attribute_fault(lambda testbed: _require_satcom(testbed).sky, "blocked"),
    ),
    "sky_mask": FaultType(
        "an obstruction hides satellites below VALUE degrees",
        lambda testbed, value: _require_satcom(testbed).sky.inject("mask_deg", value),
        limits=(0, 85),
    ),
    "modem_success": FaultType(
        "VALUE % of the sessions succeed",
        *attribute_fault(
            lambda testbed: _require_satcom(testbed).radio, "success_pct", None, float
        ),
        limits=(0, 100),
    ),
    "modem_dead": FaultType(
        "the modem sends nothing",
        *attribute_fault(lambda testbed: _require_modem(testbed, "dead"), "dead"),
    ),
    "modem_reset": FaultType("the modem restarts now", lambda testbed, _: _reset_modem(testbed)),
    "modem_reset_transfer": FaultType(
        "the modem restarts at the next transfer of a message",
        lambda testbed, _: _inject_into_modem(testbed, "reset_in", "transfer"),
    ),
    "modem_reset_session": FaultType(
        "the modem restarts in its next session",
        lambda testbed, _: _inject_into_modem(testbed, "reset_in", "session"),
    ),
    "modem_reset_next": FaultType(
        "the modem restarts at the next datagram or segment",
        lambda testbed, _: _reset_next(testbed),
    ),
    "modem_status": FaultType(
        "the next session ends with MO status VALUE",
        lambda testbed, value: _require_modem(testbed, "force_status").force_status.append(
            int(value)
        ),
        limits=(0, 255),
    ),
    "modem_lost_acks": FaultType(
        "the next VALUE messages arrive, but the modem reports a failure",
        lambda testbed, value: _inject_into_modem(testbed, "lose_acks", int(value)),
        limits=(0, 1000),
    ),
    "modem_refuses": FaultType(
        "the next VALUE transfers into the modem end with a checksum error",
        lambda testbed, value: _require_modem(testbed, "transfer_results").transfer_results.extend(
            [2] * int(value)
        ),
        limits=(0, 100),
    ),
    "modem_rings_at": FaultType(
        "a ring alert comes before byte number VALUE of every answer",
        *attribute_fault(
            lambda testbed: _require_modem(testbed, "ring_alert_at"), "ring_alert_at", None, int
        ),
        limits=(0, _MAX_RING_POSITION),
    ),
    "modem_ring": FaultType(
        "the network sends a ring alert", lambda testbed, _: _send_ring(testbed)
    ),
    "modem_unplugged": FaultType(
        "the port of the modem is unplugged", lambda testbed, _: _unplug_modem(testbed), _plug_modem
    ),
    "gateway_down": FaultType(
        "the gateway rejects all sessions",
        *attribute_fault(lambda testbed: _require_satcom(testbed).gateway, "down"),
    ),
    "ground_silent": FaultType(
        "the ground acknowledges nothing",
        *attribute_fault(lambda testbed: _require_satcom(testbed).ground, "silent"),
    ),
    "ground_forged": FaultType(
        "the ground acknowledges with a wrong key",
        *attribute_fault(lambda testbed: _require_satcom(testbed).ground, "forging"),
    ),
    "ground_replays": FaultType(
        "the ground sends its last acknowledgement again", lambda testbed, _: _replay_ack(testbed)
    ),
}
