# SPDX-License-Identifier: Apache-2.0
"""Signs a report in slices. Loaded only in a unit with a key (`agent.remote.storage.unit_key`).

Does not build the report and does not publish it; see `agent.remote.report`. On a board the code
of the signature is dropped afterwards, as that of the verification.
"""

from protocols.signing import report
from protocols.signing.ed25519_sign import Signature


class ReportSigner:
    """Signs `text`, a report of `unit` (SITE/UNIT). `payload` is the message when it is done."""

    def __init__(self, key: "tuple[bytes, bytes]", unit: str, text: bytes) -> None:
        self.payload = b""
        self._text = text
        self._signature = Signature(key[0], key[1], report.signing_input(unit, text))

    def step(self, is_small: bool = False) -> bool:
        """Do the next slice, a small one on a board; return whether `payload` is complete."""
        if self._signature.step(is_small):
            self.payload = report.join(self._text, self._signature.value)
        return bool(self.payload)
