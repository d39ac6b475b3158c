"""Pictures once they are only pixels: nothing of the file they came from is left."""

from typing import Final

from msgspec import Struct

CHANNELS: Final = 3


class Pixels(Struct, frozen=True):
    """A picture, row by row from the top: red, green and blue of each pixel, a byte each."""

    width: int
    height: int
    rgb: bytes

    def __repr__(self) -> str:
        return f"<Pixels {self.width}x{self.height}>"

    def row(self, y: int) -> bytes:
        start = y * self.width * CHANNELS
        return self.rgb[start : start + self.width * CHANNELS]

    def colours(self) -> list[bytes]:
        """Return the colours, three bytes each, pixel by pixel."""
        return [self.rgb[at : at + CHANNELS] for at in range(0, len(self.rgb), CHANNELS)]


def is_whole(pixels: Pixels) -> bool:
    """Whether there is a pixel, and as many as its size says."""
    size = pixels.width * pixels.height * CHANNELS
    return pixels.width > 0 and pixels.height > 0 and len(pixels.rgb) == size


def size_within(width: int, height: int, *, most: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size of these proportions that fits, at least a pixel; never a larger one."""
    scale = min(most[0] / width, most[1] / height, 1.0)
    return max(1, int(width * scale)), max(1, int(height * scale))


def scaled(pixels: Pixels, width: int, height: int) -> Pixels:
    """Return the picture in another size: of each new pixel the nearest old one."""
    if (width, height) == (pixels.width, pixels.height):
        return pixels
    columns = [(2 * x + 1) * pixels.width // (2 * width) * CHANNELS for x in range(width)]
    drawn = bytearray()
    for y in range(height):
        row = pixels.row((2 * y + 1) * pixels.height // (2 * height))
        for at in columns:
            drawn += row[at : at + CHANNELS]
    return Pixels(width, height, bytes(drawn))
