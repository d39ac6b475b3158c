"""Has the QR codes in a picture read by a process of its own, and believes nothing that comes back."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from securechat.locale.catalogue import mark, tr
from securechat.pictures.code_decoder import LENGTH, MAX_CODES, MAX_TEXT
from securechat.pictures.decoder import NO_PICTURE, TOO_LARGE
from securechat.pictures.decoding import SECONDS, NotDrawable, asked, opened

_PROGRAM: Final = "securechat.pictures.code_decoder"
_MOST: Final = MAX_CODES * (LENGTH.size + MAX_TEXT)

_WHY: Final = {
    NO_PICTURE: mark("there is no QR code to be read in that picture (PNG, JPEG, GIF, WebP)"),
    TOO_LARGE: mark("the picture is too large to be read"),
}
_DAMAGED: Final = mark("the picture is damaged, or took too long to be decoded")
_NEEDS: Final = mark('to read a QR code needs an extra: pip install "securechat[qr]"')


def can_read() -> bool:
    """Whether there is something to read QR codes with."""
    return find_spec("PIL") is not None and find_spec("zxingcpp") is not None


def codes_in(path: Path, *, seconds: float = SECONDS) -> list[str]:
    """Return the texts of the QR codes in the picture of a file; at least one. Blocks: for threads.

    They are whatever a stranger wrote: not to be shown, only to be judged.

    :raises NotDrawable: there is none, or it is no picture, too large, or damaged
    """
    if not can_read():
        raise NotDrawable(tr(_NEEDS))
    with opened(path) as descriptor:
        os.lseek(descriptor, 0, os.SEEK_SET)
        code, answer = asked(_PROGRAM, (), descriptor, seconds, most=_MOST)
    texts = _texts(answer)
    if code or not texts:
        raise NotDrawable(tr(_WHY.get(code, _DAMAGED)))
    return texts


def _texts(answer: bytes) -> list[str]:
    texts: list[str] = []
    while len(answer) >= LENGTH.size:
        (length,) = LENGTH.unpack(answer[: LENGTH.size])
        text, answer = answer[LENGTH.size : LENGTH.size + length], answer[LENGTH.size + length :]
        if len(text) != length:
            return []
        texts.append(text.decode(errors="replace"))
    return texts if not answer else []
