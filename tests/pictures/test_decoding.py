"""U-05: a picture is decoded by a process that can do nothing else; no hostile one gets further."""

import io
import os
import stat
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any, Final

import pytest

from securechat.pictures import decoding, small_png
from securechat.pictures.decoder import MAX_FILE, MAX_PIXELS
from securechat.pictures.decoding import NotDrawable, decoded
from securechat.pictures.pixels import Pixels
from securechat.pictures.thumbnail import thumbnail_of
from tests.pictures.hostile import judged, pictures
from tests.pictures.made import BLUE, RED, Image, a_picture, a_png, chunk, opened


def drawn(folder: Path, data: bytes, box: tuple[int, int] = (30, 20)) -> Pixels:
    with opened(folder, data) as descriptor:
        return decoded(descriptor, box=box)


def is_like(colour: bytes, other: bytes) -> bool:
    return all(abs(one - two) < 24 for one, two in zip(colour, other, strict=True))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_each_kind_is_known_by_its_content(kind: str, tmp_path: Path) -> None:
    pixels = drawn(tmp_path, a_picture(kind))
    assert (pixels.width, pixels.height) == (30, 20)
    assert is_like(pixels.row(10)[:3], RED)
    assert is_like(pixels.row(10)[-3:], BLUE)


def test_a_small_one_stays_as_it_is_and_proportions_hold(tmp_path: Path) -> None:
    small = drawn(tmp_path, a_picture("PNG", (8, 4)))
    assert (small.width, small.height, small.row(3)) == (8, 4, RED * 4 + BLUE * 4)
    wide = drawn(tmp_path, a_picture("PNG", (400, 100)), (40, 40))
    assert (wide.width, wide.height) == (40, 10)


def test_what_was_held_sideways_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it to the right
    pixels = drawn(tmp_path, a_picture("JPEG", exif=exif), (300, 90))
    assert (pixels.width, pixels.height) == (60, 90)
    assert is_like(pixels.row(5)[90:93], RED)
    assert is_like(pixels.row(85)[90:93], BLUE)


def test_what_can_be_seen_through_lies_on_white(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(out, "PNG")
    assert drawn(tmp_path, out.getvalue()).rgb == b"\xff" * 48


def test_a_thumbnail_has_pixels_and_nothing_else(tmp_path: Path) -> None:
    """U-05: neither the place nor the camera nor a comment travels with it."""
    exif = Image.Exif()
    exif[0x010E] = exif[0x0110] = "canary"
    exif.get_ifd(0x8825)[1] = "N"
    data = a_picture("JPEG", exif=exif, comment=b"canary")
    assert data.count(b"canary") == 3
    with opened(tmp_path, data) as descriptor:
        made = thumbnail_of(descriptor)
    assert 0 < len(made) <= small_png.LARGEST
    assert b"canary" not in made
    assert b"Exif" not in made
    pixels = small_png.read(made)
    assert pixels is not None
    assert (pixels.width, pixels.height) == (48, 32)
    assert small_png.write(pixels) == made  # each byte comes from a pixel
    with Image.open(io.BytesIO(made)) as other:  # and everybody else reads it too
        assert other.convert("RGB").tobytes() == pixels.rgb
        assert dict(other.info) == {}


@pytest.mark.parametrize("data", [b"", b"words", b"\x89PNG", b"%!PS-Adobe-3.0 EPSF-3.0", b"BM" + bytes(90)])
def test_what_is_no_picture_of_the_four_kinds_is_decoded_by_nobody(data: bytes, tmp_path: Path) -> None:
    with opened(tmp_path, data) as descriptor:
        assert thumbnail_of(descriptor) == b""
    with pytest.raises(NotDrawable, match="no picture"):
        drawn(tmp_path, data)


def a_gif(width: int, height: int, frame: tuple[int, int]) -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\x00;"


def a_bomb_in_a_chunk() -> bytes:
    """A comment that is a kilobyte on the disk and a hundred megabytes unpacked."""
    words = b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9)
    return a_png(1, 1, zlib.compress(b"\0\0\0\0"), more=chunk(b"zTXt", words))


HOSTILE = {
    "declares more than there may be": a_png(100_000, 100_000, zlib.compress(bytes(1000))),
    "declares just too much": a_png(MAX_PIXELS // 1000 + 1, 1000, zlib.compress(bytes(1000))),
    "declares what no file has": a_png(2**31 - 1, 2**31 - 1, zlib.compress(bytes(1000))),
    "declares nothing": a_png(0, 0, zlib.compress(b"")),
    "has less than it declares": a_png(2000, 2000, zlib.compress(bytes(1000))),
    "a png that was cut off": a_picture("PNG", (800, 600))[:-40],
    "a jpeg that was cut off": a_picture("JPEG")[:-200],
    "a webp that was cut off": a_picture("WEBP")[:-40],
    "a gif that was cut off": a_picture("GIF")[:60],
    "a gif with a frame of four gigapixels": a_gif(10, 10, (65535, 65535)),
    "a gif of four gigapixels": a_gif(65535, 65535, (1, 1)),
    "a webp of a quarter of a gigapixel": b"RIFF"
    + struct.pack("<I", 30)
    + b"WEBPVP8X"
    + struct.pack("<I", 10)
    + b"\x02\0\0\0"
    + b"\xfe\x3f\0" * 2,
    "a bomb in a comment": a_bomb_in_a_chunk(),
    "a jpeg that is only a name": b"\xff\xd8\xff\xe0" + bytes(200),
}


FAR_TOO_LARGE = {
    "declares more than there may be",
    "declares just too much",
    "a gif with a frame of four gigapixels",
    "a gif of four gigapixels",
}
"""Their makers are told what is wrong with them."""


@pytest.mark.parametrize("name", HOSTILE)
def test_u_05_a_hostile_picture_is_refused_and_that_is_all(name: str, tmp_path: Path) -> None:
    said = "too large" if name in FAR_TOO_LARGE else r"too large|damaged"
    with pytest.raises(NotDrawable, match=said):
        drawn(tmp_path, HOSTILE[name])


def test_u_05_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with opened(tmp_path, a_picture("PNG")) as descriptor:
        os.truncate(tmp_path / "picture", MAX_FILE + 1)
        with pytest.raises(NotDrawable, match="too large"):
            decoded(descriptor, box=(9, 9))


ATTEMPTS = """
import os, socket, resource
from securechat.pictures.decoder import limit_itself
limit_itself()
def tried(what):
    try:
        what()
    except BaseException as error:
        return type(error).__name__
    return "done"
print(tried(lambda: open("/etc/passwd")), tried(socket.socket), tried(os.pipe),
      tried(lambda: bytearray(2**30)),
      [resource.getrlimit(kind) for kind in
       (resource.RLIMIT_CPU, resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC)])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits are Linux's here")
def test_u_05_the_process_that_decodes_can_do_nothing_else() -> None:
    """No file, no connection, no process, no memory without end: keys and store are out of its reach."""
    said = subprocess.run(
        [sys.executable, "-I", "-c", ATTEMPTS], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert said == "OSError OSError OSError MemoryError [(5, 5), (0, 0), (0, 0), (0, 0)]\n"


def acting(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put something else in the place of the process, as if it had been taken over."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))


def test_u_05_a_process_that_takes_too_long_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting(tmp_path, monkeypatch, "exec sleep 1000")
    with opened(tmp_path, a_picture("PNG")) as descriptor, pytest.raises(NotDrawable, match="too long"):
        decoded(descriptor, box=(9, 9), seconds=0.01)


LIES = {
    "nothing": "exit 0",
    "less than it says": r"printf '\000\002\000\002abc'",
    "more than it says": r"printf '\000\001\000\001abcdef'",
    "without end": "exec cat /dev/zero",
    "larger than was asked for": r"printf '\000\012\000\001123456789012345678901234567890'",
    "no pixel": r"printf '\000\000\000\000'",
    "and fails": r"printf '\000\001\000\001abc'; exit 9",
    "and is killed": r"printf '\000\001\000\001abc'; kill -9 $$",
}


@pytest.mark.parametrize("name", LIES)
def test_u_05_nothing_that_it_says_is_believed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting(tmp_path, monkeypatch, LIES[name])
    with opened(tmp_path, a_picture("PNG")) as descriptor, pytest.raises(NotDrawable, match="damaged"):
        decoded(descriptor, box=(9, 9))


def test_u_05_nothing_of_ours_is_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURECHAT_PASSWORD", "canary")
    acting(tmp_path, monkeypatch, f"/usr/bin/env > {tmp_path}/told; pwd >> {tmp_path}/told")
    with opened(tmp_path, a_picture("PNG")) as descriptor, pytest.raises(NotDrawable):
        decoded(descriptor, box=(9, 9))
    told = (tmp_path / "told").read_text()
    assert "canary" not in told
    assert "HOME=" not in told
    assert told.endswith("\n/\n")


def test_without_the_extra_a_file_goes_without_and_a_person_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "find_spec", lambda _: None)
    with opened(tmp_path, a_picture("PNG")) as descriptor:
        assert thumbnail_of(descriptor) == b""
        with pytest.raises(NotDrawable, match=r"securechat\[pictures\]"):
            decoded(descriptor, box=(9, 9))


MODES: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "sixteen bits of grey": ("PNG", "I;16", {}),
    "grey that can be seen through": ("PNG", "LA", {}),
    "one bit": ("PNG", "1", {}),
    "a palette that can be seen through": ("PNG", "P", {"transparency": 0}),
    "printer's colours": ("JPEG", "CMYK", {}),
    "by and by": ("JPEG", "L", {"progressive": True}),
    "several pictures": ("GIF", "P", {"save_all": True, "append_images": [Image.new("P", (9, 9), 1)]}),
    "a moving one": ("WEBP", "RGBA", {"save_all": True, "append_images": [Image.new("RGBA", (9, 9), "red")]}),
}


@pytest.mark.parametrize("name", MODES)
def test_every_way_to_write_one_is_read(name: str, tmp_path: Path) -> None:
    """Nothing is left to be imported once no file can be opened any more."""
    kind, mode, how = MODES[name]
    out = io.BytesIO()
    Image.new(mode, (9, 9)).save(out, kind, **how)
    pixels = drawn(tmp_path, out.getvalue(), (4, 4))
    assert (pixels.width, pixels.height) == (4, 4)


def test_u_05_what_is_changed_a_little_is_shown_or_refused(tmp_path: Path) -> None:
    """The long form is `python -m tests.pictures.hostile`."""
    found = [judged(data, tmp_path) for data in pictures(12, seed=5)]
    assert len(found) == 12
