"""Words for what happens to the satellite link: its sky, its modem, its gateway, the ground.

Each needs a row with a modem (`parts = "modem, modem_store"`). Where several modems know a fault,
the word means the one that the row has; a modem that does not know it refuses the word.
"""

from typing import Any

from hil.bench.testbed import Row
from hil.bench.testbed_satcom import Satellite
from hil.errors import BenchError
from hil.fault.base import Word, held

_RING_AT_MOST = 64


def _of(row: Row) -> Satellite:
    if row.satellite is None:
        raise BenchError('this word needs a modem: parts = "modem, modem_store" in [row]')
    return row.satellite


def _modem(row: Row, name: str) -> Any:
    device = _of(row).device
    if not hasattr(device, name):
        raise BenchError(f"a modem of kind {row.setting.modem} knows no {name}")
    return device


def _set(row: Row, name: str, value: object) -> None:
    setattr(_modem(row, name), name, value)


def _reset(row: Row) -> None:
    _modem(row, "reset").reset(row.world.now)


def _reset_next(row: Row) -> None:
    if hasattr(_of(row).device, "reset_next"):
        _set(row, "reset_next", True)
    else:
        _set(row, "reset_in", "transfer")


def _ring(row: Row) -> None:
    for _, data in _modem(row, "ring").ring():
        _of(row).say(data)


def _pull(row: Row) -> None:
    _of(row)
    row.modem_port.pull()


def _plug(row: Row) -> None:
    row.modem_port.absent = False


def _replay(row: Row) -> None:
    satellite = _of(row)
    if satellite.ground.last_ack:
        satellite.gateway.post(satellite.device.serial, satellite.ground.last_ack)


MODEM_EVENTS: dict[str, Word] = {
    "sky_blocked": Word(
        "no satellite is heard",
        *held(lambda row: _of(row).sky, "blocked"),
    ),
    "sky_mask": Word(
        "the obstruction hides what is below value degrees",
        lambda row, value: setattr(_of(row).sky, "mask_deg", value),
        limits=(0, 85),
    ),
    "modem_success": Word(
        "value % of the sessions get through",
        *held(lambda row: _of(row).radio, "success_pct", None, float),
        limits=(0, 100),
    ),
    "modem_dead": Word(
        "the modem says nothing",
        *held(lambda row: _modem(row, "dead"), "dead"),
    ),
    "modem_reset": Word("the modem restarts now", lambda row, _: _reset(row)),
    "modem_reset_transfer": Word(
        "the modem restarts when it is given the next message",
        lambda row, _: _set(row, "reset_in", "transfer"),
    ),
    "modem_reset_session": Word(
        "the modem restarts in its next session", lambda row, _: _set(row, "reset_in", "session")
    ),
    "modem_reset_next": Word(
        "the modem restarts at the next datagram or segment",
        lambda row, _: _reset_next(row),
    ),
    "modem_status": Word(
        "the next session ends with MO status value",
        lambda row, value: _modem(row, "force_status").force_status.append(int(value)),
        limits=(0, 255),
    ),
    "modem_lost_acks": Word(
        "the next value messages arrive and are reported as failed",
        lambda row, value: _set(row, "lose_acks", int(value)),
        limits=(0, 1000),
    ),
    "modem_refuses": Word(
        "the next value transfers into the modem end with a bad checksum",
        lambda row, value: _modem(row, "refuse").refuse.extend([2] * int(value)),
        limits=(0, 100),
    ),
    "modem_rings_at": Word(
        "a ring stands before byte number value of every answer",
        *held(lambda row: _modem(row, "ring_at"), "ring_at", None, int),
        limits=(0, _RING_AT_MOST),
    ),
    "modem_ring": Word("the network rings", lambda row, _: _ring(row)),
    "modem_unplugged": Word("the modem's port is pulled", lambda row, _: _pull(row), _plug),
    "gateway_down": Word(
        "the gateway answers no session",
        *held(lambda row: _of(row).gateway, "down"),
    ),
    "ground_silent": Word(
        "the ground acknowledges nothing",
        *held(lambda row: _of(row).ground, "silent"),
    ),
    "ground_forged": Word(
        "acknowledgements come with a wrong key",
        *held(lambda row: _of(row).ground, "forge"),
    ),
    "ground_replays": Word("the last acknowledgement comes once more", lambda row, _: _replay(row)),
}
