# SPDX-License-Identifier: Apache-2.0
"""Label of a unit as SVG, 50 mm x 20 mm: serial number, board, release, and a QR code.

The QR code (ISO/IEC 18004, by segno) has the serial number and the first 16 hexadecimal digits of
the public key. So a technician can compare the unit with the enrolled key.
"""

import io
from xml.sax.saxutils import escape

import segno

KEY_DIGITS = 16
_TEXT_X, _TEXT_WIDTH = 22, 27
"""Begin and width of the text, mm."""
_CHARACTER_WIDTH, _MAX_FONT_SIZE = 0.62, 3
"""Width of a character of a monospaced font in parts of its size; largest size, mm."""


def _font_size(line: str) -> float:
    return min(_MAX_FONT_SIZE, _TEXT_WIDTH / (_CHARACTER_WIDTH * len(line)))


def label_text(serial: str, public: str) -> str:
    """Return the text of the QR code."""
    return f"{serial} {public[:KEY_DIGITS]}"


def label_svg(serial: str, board: str, release: int, public: str) -> str:
    """Return the label."""
    code = segno.make(label_text(serial, public), error="m", micro=False)
    out = io.BytesIO()
    scale = 20 / code.symbol_size()[0]
    code.save(out, kind="svg", xmldecl=False, svgns=False, border=4, scale=scale)
    lines = (serial, f"{board}, release {release}", f"key {public[:KEY_DIGITS]}")
    texts = "".join(
        f'<text x="{_TEXT_X}" y="{6 + 5 * at}" font-size="{_font_size(line):.2f}" '
        f'font-family="monospace">{escape(line)}</text>'
        for at, line in enumerate(lines)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="50mm" height="20mm" viewBox="0 0 50 20">'
        f'<rect width="50" height="20" fill="#fff"/>{out.getvalue().decode()}{texts}</svg>\n'
    )
