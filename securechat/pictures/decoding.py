"""Has a picture decoded by a process of its own, and believes nothing that comes back."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from securechat.errors import SecureChatError
from securechat.locale.catalogue import mark, tr
from securechat.pictures.decoder import MAX_DRAWN, NO_PICTURE, SIZE, TOO_LARGE
from securechat.pictures.pixels import CHANNELS, Pixels, is_whole

SECONDS: Final = 10.0
"""After that the process is killed. Its own limit is 5 s of computing; a slow disk may take the rest."""

_PROGRAM: Final = "securechat.pictures.decoder"

_PASSED_ON: Final = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""All of the environment that a Python may need to start. Passwords may stand in the rest."""

_ONE: Final = threading.Lock()
"""One picture at a time: its memory is bounded, and so that of all."""

_WHY: Final = {
    NO_PICTURE: mark("it is no picture of a kind that is shown here: PNG, JPEG, GIF, WebP"),
    TOO_LARGE: mark("the picture is too large to be shown"),
}
_DAMAGED: Final = mark("the picture is damaged, or took too long to be decoded")
_GONE: Final = mark("the picture is not where it was saved")
_NEEDS: Final = mark('pictures need an extra: pip install "securechat[pictures]"')


class NotDrawable(SecureChatError):
    """A picture that cannot be shown; the text says why."""


def can_decode() -> bool:
    """Whether there is something to decode pictures with."""
    return bool(sys.executable) and find_spec("PIL") is not None


def decoded(descriptor: int, *, box: tuple[int, int], colours: int = 0, seconds: float = SECONDS) -> Pixels:
    """Return the picture in an open file, at most as large as the box. Blocks: for threads.

    :param descriptor: a plain file; it is read from its beginning
    :param colours: at most so many different ones; 0 for all
    :raises NotDrawable: it is no picture, too large, or damaged
    """
    if not can_decode():
        raise NotDrawable(tr(_NEEDS))
    width, height = (min(side, MAX_DRAWN) for side in box)
    os.lseek(descriptor, 0, os.SEEK_SET)
    limits = (width, height, colours)
    code, answer = asked(_PROGRAM, limits, descriptor, seconds, most=_size(width, height))
    pixels = _read(answer)
    if code or pixels is None or pixels.width > width or pixels.height > height:
        raise NotDrawable(tr(_WHY.get(code, _DAMAGED)))
    return pixels


def decoded_file(path: Path, *, box: tuple[int, int], colours: int = 0) -> Pixels:
    """Return the picture in a file of the user's; as `decoded`."""
    with opened(path) as descriptor:
        return decoded(descriptor, box=box, colours=colours)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a plain file of the user's for reading.

    :raises NotDrawable: there is none
    """
    # Without O_NONBLOCK a pipe would keep us here until somebody writes to it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as problem:
        raise NotDrawable(tr(_GONE)) from problem
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotDrawable(tr(_GONE))
        yield descriptor
    finally:
        os.close(descriptor)


def asked(
    program: str, arguments: tuple[int, ...], descriptor: int, seconds: float, *, most: int
) -> tuple[int, bytes]:
    """Run a process that decodes; return what it ended with and at most ``most`` bytes of what it said.

    :param program: one of our modules
    :param descriptor: the picture, an open file
    """
    command = [sys.executable, "-I", "-B", "-W", "ignore", "-m", program, *map(str, arguments)]
    with (
        _ONE,
        subprocess.Popen(  # noqa: S603 - our own program; nothing of the picture is in its arguments
            command,
            stdin=descriptor,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            cwd=os.path.abspath(os.sep),  # noqa: PTH100 - a root, on any system
            start_new_session=True,
        ) as process,
    ):
        late = threading.Timer(seconds, process.kill)
        late.start()
        try:
            answer = process.stdout.read(most + 1) if process.stdout is not None else b""
            if len(answer) > most:
                process.kill()
            code = process.wait()
        finally:
            process.kill()
            late.cancel()
            late.join()
    return code, answer[:most]


def _size(width: int, height: int) -> int:
    return SIZE.size + width * height * CHANNELS


def _read(answer: bytes) -> Pixels | None:
    if len(answer) < SIZE.size:
        return None
    width, height = SIZE.unpack(answer[: SIZE.size])
    pixels = Pixels(width, height, answer[SIZE.size :])
    return pixels if is_whole(pixels) else None
