# SPDX-License-Identifier: Apache-2.0
"""The common part of the emulated satellite modems: radio, gateway, restart.

Does not implement a protocol; see the module of each modem.
"""

from __future__ import annotations

from typing import ClassVar

from hil.devices.base import NEVER, FaultTarget
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.radio import Radio


class EmulatedModem(FaultTarget):
    """A modem without replies for `boot_us` after a restart. Fault: `dead` (it sends nothing)."""

    FAULTS: ClassVar = frozenset(("dead",))
    boot_us = 0

    def __init__(self, radio: Radio, gateway: MessageGateway, serial: str) -> None:
        self.dead = False
        self.radio = radio
        self.serial = serial
        self.resets = 0
        self._gateway = gateway
        self._boot_until = 0
        self._sky_check_at = NEVER
        self._buffer = b""
        self._clear_state()

    def _clear_state(self) -> None:
        """Reset the state that a restart clears."""
        self._buffer = b""
        self._sky_check_at = NEVER

    def reset(self, now: int) -> None:
        """Restart: buffers and settings are as after power-up."""
        self.resets += 1
        self._clear_state()
        self._boot_until = now + self.boot_us

    def _is_unresponsive(self, now: int) -> bool:
        return self.dead or now < self._boot_until

    def deadline(self) -> int:
        """Return the time of the next check of the sky."""
        return self._sky_check_at
