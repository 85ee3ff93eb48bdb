# SPDX-License-Identifier: Apache-2.0
"""QR code of the serial number as SVG, for the telephone of a technician.

Does not contain an address: the code is the text of the serial number (ISO/IEC 18004, by segno).
"""

import io
from functools import lru_cache

import segno

MAX_TEXT = 200


@lru_cache(maxsize=4)
def qr_svg(text: str) -> bytes:
    """Return the code as SVG with black modules and a quiet zone. Raises ValueError: no text."""
    if not text or len(text) > MAX_TEXT:
        raise ValueError("a QR code has 1 to 200 characters")
    out = io.BytesIO()
    code = segno.make(text, error="m", micro=False)
    code.save(out, kind="svg", border=4, omitsize=True, dark="#000", light="#fff", xmldecl=False)
    return out.getvalue()
