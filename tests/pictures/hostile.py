"""Pictures with some bytes changed, through the real process.

``python -m tests.pictures.hostile --count 500 --seed S`` prints how many were shown and refused.
"""

import argparse
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from securechat.pictures.decoding import NotDrawable, decoded
from securechat.pictures.pixels import Pixels, is_whole
from tests.fuzz.mutations import mutated
from tests.pictures.made import a_picture

KINDS = ("PNG", "JPEG", "GIF", "WEBP")
BOX = (40, 30)


def pictures(count: int, seed: int) -> Iterator[bytes]:
    """Honest pictures of each kind, changed a little; their beginnings stay, or nothing would decode them."""
    for kind in KINDS:
        whole = a_picture(kind, (60, 40))
        for changed in mutated([whole[12:]], seed, count // len(KINDS)):
            yield whole[:12] + changed


def judged(data: bytes, folder: Path) -> Pixels | None:
    """Decode one; None if it is refused. Whatever else happens is an error."""
    path = folder / "picture"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        pixels = decoded(descriptor, box=BOX)
    except NotDrawable:
        return None
    finally:
        os.close(descriptor)
    assert is_whole(pixels)
    assert pixels.width <= BOX[0]
    assert pixels.height <= BOX[1]
    return pixels


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    given = parser.parse_args()
    print("seed", given.seed)
    shown = longest = done = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for data in pictures(given.count, given.seed):
            begun = time.monotonic()
            shown += judged(data, Path(folder)) is not None
            longest, done = max(longest, time.monotonic() - begun), done + 1
    print(f"{done:.0f} pictures: {shown:.0f} shown, {done - shown:.0f} refused; longest {longest:.2f} s")


if __name__ == "__main__":
    main()
