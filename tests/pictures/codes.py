"""QR codes for tests: as they stand on a terminal, and as pictures of one."""

import io
from collections.abc import Sequence

import pytest

from tests.pictures.made import Image

pytest.importorskip("zxingcpp", reason="nothing reads QR codes here: pip install 'securechat[qr]'")

DARK, LIGHT = 20, 235
_HALVES = {" ": (DARK, DARK), "▀": (LIGHT, DARK), "▄": (DARK, LIGHT), "█": (LIGHT, LIGHT)}

PIXELS = 5
"""Of a module's side: a photo of a terminal has more."""


def seen(
    lines: Sequence[str], *, light_terminal: bool = False, turned: float = 0, kind: str = "PNG"
) -> bytes:
    """What a camera sees of lines of half-blocks."""
    rows = [[_HALVES[cell][half] for cell in line] for line in lines for half in (0, 1)]
    picture = Image.new("L", (len(rows[0]), len(rows)))
    picture.putdata([255 - dot if light_terminal else dot for row in rows for dot in row])
    picture = picture.resize((picture.width * PIXELS, picture.height * PIXELS), Image.Resampling.NEAREST)
    picture = picture.rotate(turned, expand=True, fillcolor=DARK)
    out = io.BytesIO()
    picture.save(out, kind)
    return out.getvalue()
