"""The process that decodes one picture and ends: ``python -m securechat.pictures.decoder W H COLOURS``.

A decoder of pictures is a large program that reads what strangers made. So it runs by itself, with
nothing in its memory and nothing in its hands: it takes limits upon itself before the first byte of
the picture is read (memory, time, no file, no connection, no other process) and hands pixels back.

stdin is the picture, an open file; stdout gets width and height (two bytes each) and the pixels.
"""

import importlib
import importlib.util
import io
import os
import struct
import sys
from typing import Any, BinaryIO, Final

from securechat.pictures.kinds import FORMATS, HEAD, kind_of

MAX_FILE: Final = 32 * 1024 * 1024
MAX_PIXELS: Final = 40_000_000
"""As the file declares them, before any is decoded: more than almost any camera makes."""

MEMORY: Final = 768 * 1024 * 1024
"""Bytes of address space: 40 million pixels of four bytes, three times, and the program."""

CPU_SECONDS: Final = 5
MAX_DRAWN: Final = 2048
"""Pixels of a side of what is handed back."""

MAX_COLOURS: Final = 256

DONE, NO_PICTURE, TOO_LARGE, DAMAGED = 0, 3, 4, 5
"""What the process ends with."""

SIZE: Final = struct.Struct(">HH")

_ORIENTATION: Final = 0x0112
"""Exif's number for how a camera was held."""

_LYING: Final = (5, 6, 7, 8)
"""Where width and height have changed places."""

_UPRIGHT: Final = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""Orientation -> the number of PIL's way to turn it back."""

_PLUGINS: Final = ("Gif", "Jpeg", "Mpo", "Png", "Tiff", "WebP")
"""What could be imported later, when no file can be opened any more. Tiff: Exif has its form."""


def main(arguments: list[str]) -> int:
    """Decode stdin to stdout; return what the process ends with."""
    width, height, colours = map(int, arguments)
    if not (0 < width <= MAX_DRAWN and 0 < height <= MAX_DRAWN and 0 <= colours <= MAX_COLOURS):
        return NO_PICTURE
    library = imported()
    limit_itself()
    try:
        with open(0, "rb", closefd=False) as file:
            result = checked(library, file, (width, height), colours)
    except MemoryError:
        return TOO_LARGE
    except Exception:  # noqa: BLE001 - a process's root: a decoder raises whatever it meets
        return DAMAGED
    if isinstance(result, int):
        return result
    with open(1, "wb", closefd=False) as out:
        out.write(SIZE.pack(*result.size) + result.tobytes())
    return DONE


def limit_itself() -> None:
    """Give away for good what decoding does not need. What a system lacks of it, it lacks."""
    if importlib.util.find_spec("resource") is None:
        return
    resource = importlib.import_module("resource")
    limits = {
        "RLIMIT_AS": MEMORY,
        "RLIMIT_CPU": CPU_SECONDS,
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_NPROC": 0,
        # Descriptors 0 to 2 are open: there will never be another one, so no file and no connection.
        "RLIMIT_NOFILE": 3,
    }
    for name, most in limits.items():
        kind = getattr(resource, name, None)
        if kind is not None:
            _limit(resource, kind, most)


def _limit(resource: Any, kind: int, most: int) -> None:  # noqa: ANN401 - a module that Windows lacks
    try:
        resource.setrlimit(kind, (most, most))
    except (OSError, ValueError):  # macOS does not limit address space: the parent's clock is what is left
        return


def imported() -> Any:  # noqa: ANN401 - an extra, for those who have it
    """Return PIL's module, with everything imported that it imports when it is needed."""
    library: Any = importlib.import_module("PIL.Image")
    for name in _PLUGINS:
        importlib.import_module(f"PIL.{name}ImagePlugin")
    library.preinit()
    library.MAX_IMAGE_PIXELS = MAX_PIXELS
    for kind in FORMATS.values():
        _decode_own(library, kind)
    return library


def _decode_own(library: Any, kind: str) -> None:  # noqa: ANN401 - see above
    sample = io.BytesIO()
    try:
        library.new("RGB", (2, 2)).save(sample, kind)
    except (KeyError, OSError):  # built without this kind, which is then damaged whenever it comes
        return
    _decoded(library, sample, kind, (1, 1), 2)


def checked(library: Any, file: BinaryIO, box: tuple[int, int], colours: int) -> Any:  # noqa: ANN401 - see above
    """Return the picture, or a number for what is wrong with the file."""
    kind = kind_of(file.read(HEAD))
    if not kind:
        return NO_PICTURE
    if os.fstat(file.fileno()).st_size > MAX_FILE:
        return TOO_LARGE
    try:
        return _decoded(library, file, FORMATS[kind], box, colours)
    except library.DecompressionBombError:  # of more than twice as many the library says so itself
        return TOO_LARGE


def _decoded(library: Any, file: BinaryIO, kind: str, box: tuple[int, int], colours: int) -> Any:  # noqa: ANN401
    """Return the picture as small as the box, upright, without transparency; or that it is too large."""
    file.seek(0)
    with library.open(file, formats=[kind]) as picture:
        if picture.width * picture.height > MAX_PIXELS:
            return TOO_LARGE
        orientation = picture.getexif().get(_ORIENTATION, 1)
        lies = box[::-1] if orientation in _LYING else box
        picture.draft("RGB", lies)  # JPEG: only as many pixels as are needed are ever made
        flat = _flat(library, _reduced(picture, lies))
    turned = _UPRIGHT.get(orientation)
    flat = flat if turned is None else flat.transpose(turned)
    return flat.quantize(colours).convert("RGB") if colours else flat


def _reduced(picture: Any, box: tuple[int, int]) -> Any:  # noqa: ANN401 - see above
    if picture.mode not in {"RGB", "RGBA", "L", "CMYK"}:
        transparent = "transparency" in picture.info or picture.mode in {"PA", "LA"}
        picture = picture.convert("RGBA" if transparent else "RGB")
    picture.thumbnail(box, reducing_gap=2.0)
    return picture


def _flat(library: Any, picture: Any) -> Any:  # noqa: ANN401 - see above
    """Without transparency: on white, as most of what is transparent is meant."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    paper = library.new("RGBA", picture.size, "white")
    return library.alpha_composite(paper, picture).convert("RGB")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
