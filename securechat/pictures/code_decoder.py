"""The process that reads the QR codes in one picture: ``python -m securechat.pictures.code_decoder``.

As `decoder`, and behind the same limits: a reader of codes is one more large program for what strangers
made. stdin is the picture, an open file; stdout gets the texts, each after its length (two bytes).
"""

import importlib
import struct
import sys
from typing import Any, BinaryIO, Final

from securechat.pictures.decoder import (
    DAMAGED,
    DONE,
    MAX_DRAWN,
    NO_PICTURE,
    TOO_LARGE,
    checked,
    imported,
    limit_itself,
)

MAX_CODES: Final = 8
MAX_TEXT: Final = 4296
"""Bytes of a text: what the largest QR code holds of capitals and digits."""

LENGTH: Final = struct.Struct(">H")


def main() -> int:
    """Read the codes in the picture on stdin; return what the process ends with."""
    library, reader = imported(), _reader()
    limit_itself()
    try:
        with open(0, "rb", closefd=False) as file:
            result = _codes(library, reader, file)
    except MemoryError:
        return TOO_LARGE
    except Exception:  # noqa: BLE001 - a process's root: a decoder raises whatever it meets
        return DAMAGED
    if isinstance(result, int):
        return result
    with open(1, "wb", closefd=False) as out:
        out.writelines(LENGTH.pack(len(text)) + text for text in result)
    return DONE


def _reader() -> Any:  # noqa: ANN401 - an extra, for those who have it
    """Return zxing-cpp's module, after it has read a picture of nothing: what it loads late is loaded."""
    reader: Any = importlib.import_module("zxingcpp")
    _read(reader, bytes(64 * 64), 64, 64)
    return reader


def _codes(library: Any, reader: Any, file: BinaryIO) -> list[bytes] | int:  # noqa: ANN401 - see above
    picture = checked(library, file, (MAX_DRAWN, MAX_DRAWN), 0)
    if isinstance(picture, int):
        return picture
    grey = picture.convert("L")
    found = _read(reader, grey.tobytes(), grey.width, grey.height)
    return [text for text in found[:MAX_CODES] if 0 < len(text) <= MAX_TEXT] or NO_PICTURE


def _read(reader: Any, grey: bytes, width: int, height: int) -> list[bytes]:  # noqa: ANN401 - see above
    """Return the texts of the QR codes in a picture of one byte a pixel, also of light ones on dark."""
    shaped = memoryview(grey).cast("B", shape=[height, width])
    return [bytes(each.bytes) for each in reader.read_barcodes(shaped, formats=reader.BarcodeFormat.QRCode)]


if __name__ == "__main__":
    sys.exit(main())
