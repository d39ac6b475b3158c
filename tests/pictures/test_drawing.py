"""U-01: what is drawn of a picture is made of its pixels here, in sequences that are whole."""

import re
import zlib
from base64 import b64decode
from typing import Final

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.pictures.blocks import SHADES, Run, blocks, coloured, shaded
from securechat.pictures.kitty import (
    CHUNK,
    MAX_CELLS,
    PLACEHOLDER,
    cells,
    colour_of,
    forgotten,
    placed,
    virtual,
)
from securechat.pictures.pixels import Pixels, is_whole, scaled, size_within
from securechat.pictures.showing import box_of, cells_of, shown
from securechat.pictures.sixel import MAX_COLOURS, sixel
from securechat.pictures.terminal import Drawing, Way, through

RED, BLUE, BLACK, WHITE = b"\xff\0\0", b"\0\0\xff", b"\0\0\0", b"\xff\xff\xff"
FLAG: Final = Pixels(2, 3, RED + BLUE + BLUE + BLUE + WHITE + BLACK)

PICTURES = st.builds(
    lambda width, height, data: Pixels(width, height, (data * (width * height))[: width * height * 3]),
    st.integers(1, 40),
    st.integers(1, 40),
    st.binary(min_size=3, max_size=60),
)


def test_a_cell_is_two_pixels_and_like_ones_are_drawn_at_once() -> None:
    assert blocks(FLAG, columns=10, rows=10) == [
        [Run(1, RED, BLUE), Run(1, BLUE, BLUE)],
        [Run(1, WHITE, None), Run(1, BLACK, None)],
    ]
    assert blocks(Pixels(9, 2, RED * 18), columns=9, rows=1) == [[Run(9, RED, RED)]]
    assert blocks(FLAG, columns=0, rows=10) == blocks(FLAG, columns=10, rows=0) == []


@given(PICTURES, st.integers(1, 30), st.integers(1, 20))
def test_it_never_takes_more_cells_than_there_are(pixels: Pixels, columns: int, rows: int) -> None:
    drawn = blocks(pixels, columns=columns, rows=rows)
    assert 1 <= len(drawn) <= rows
    assert all(1 <= sum(run.cells for run in row) <= columns for row in drawn)
    assert len(shaded(drawn).split("\n")) == len(drawn)


@given(PICTURES, st.integers(1, 50), st.integers(1, 50))
def test_scaling_keeps_what_is_whole_whole(pixels: Pixels, width: int, height: int) -> None:
    assert is_whole(scaled(pixels, width, height))
    fitted = size_within(pixels.width, pixels.height, most=(width, height))
    assert (1, 1) <= fitted <= (width, max(pixels.height, 1))


@pytest.mark.parametrize(
    ("true_colour", "colours"), [(True, ["ff0000", "0000ff"]), (False, ["ff0000", "0000ff"])]
)
def test_a_terminal_shows_the_colours_and_gets_its_own_back(true_colour: bool, colours: list[str]) -> None:  # noqa: FBT001 - a column of the table
    screen = pyte.Screen(10, 4)
    pyte.Stream(screen).feed(
        coloured(blocks(FLAG, columns=10, rows=4), true_colour=true_colour).replace("\n", "\r\n")
    )
    first = screen.buffer[0][0]
    assert (first.data, first.fg, first.bg) == ("▀", *colours)
    assert screen.buffer[1][0].bg == "default"
    assert (screen.cursor.attrs.fg, screen.cursor.attrs.bg) == ("default", "default")


def test_who_wants_no_colours_sees_light_and_dark() -> None:
    assert (
        shaded(blocks(Pixels(2, 2, WHITE + BLACK + WHITE + BLACK), columns=2, rows=1))
        == SHADES[-1] + SHADES[0]
    )


def unpacked(sent: str) -> tuple[dict[str, str], bytes]:
    """What kitty reads: the keys of the first sequence, and the data of all."""
    parts = re.fullmatch(r"(?:\x1b_G[^;\x1b]*;[A-Za-z0-9+/=]*\x1b\\)+", sent)
    assert parts is not None
    chunks = re.findall(r"\x1b_G([^;\x1b]*);([A-Za-z0-9+/=]*)\x1b\\", sent)
    assert all(len(data) <= CHUNK for _, data in chunks)
    assert [keys.rpartition("m=")[2] for keys, _ in chunks] == ["1"] * (len(chunks) - 1) + ["0"]
    keys = dict(pair.split("=") for pair in chunks[0][0].split(","))
    return keys, zlib.decompress(b64decode("".join(data for _, data in chunks)))


def test_kitty_gets_the_pixels_in_pieces() -> None:
    pixels = Pixels(100, 90, bytes((7 * at * at) % 251 for at in range(27_000)))
    keys, data = unpacked(placed(pixels, columns=13, rows=6))
    assert data == pixels.rgb
    assert (keys["a"], keys["f"], keys["s"], keys["v"], keys["c"], keys["r"]) == (
        "T",
        "24",
        "100",
        "90",
        "13",
        "6",
    )
    keys, data = unpacked(virtual(FLAG, 7, columns=2, rows=1))
    assert (keys["U"], keys["i"], keys["q"], data) == ("1", "7", "2", FLAG.rgb)
    assert forgotten(7) == "\x1b_Ga=d,d=I,i=7,q=2\x1b\\"


def test_a_placeholder_says_its_row_and_its_column() -> None:
    assert cells(0, 2) == f"{PLACEHOLDER}\u0305\u0305{PLACEHOLDER}\u0305\u030d"
    assert cells(2, 1) == f"{PLACEHOLDER}\u030e\u0305"
    assert cells(MAX_CELLS - 1, 200).count(PLACEHOLDER) == 200
    assert colour_of(0x010203) == b"\x01\x02\x03"


TOKEN: Final = re.compile(
    r"#(?P<register>\d+);2;(?P<red>\d+);(?P<green>\d+);(?P<blue>\d+)"
    r"|#(?P<colour>\d+)|(?:!(?P<count>\d+))?(?P<column>[?-~])|(?P<move>[$-])"
)


def drawn_from(sent: str) -> Pixels:
    """Draw sixels as a terminal does."""
    begin = re.match(r'\x1bP0;1q"1;1;(\d+);(\d+)', sent)
    assert begin is not None
    assert sent.endswith("\x1b\\")
    assert sent.count("\x1b") == 2
    registers: dict[str, bytes] = {}
    canvas: dict[tuple[int, int], bytes] = {}
    x, y, colour = 0, 0, b""
    for token in TOKEN.finditer(sent, begin.end(), len(sent) - 2):
        if token["register"]:
            rgb = (int(token[name]) for name in ("red", "green", "blue"))
            registers[token["register"]] = bytes(round(level * 2.55) for level in rgb)
        elif token["colour"]:
            colour = registers[token["colour"]]
        elif token["move"]:
            x, y = 0, y + (6 if token["move"] == "-" else 0)
        else:
            bits = ord(token["column"]) - 63
            first, x = x, x + int(token["count"] or 1)
            canvas |= {(at, y + bit): colour for at in range(first, x) for bit in range(6) if bits >> bit & 1}
    width, height = int(begin[1]), int(begin[2])
    return Pixels(width, height, b"".join(canvas[x, y] for y in range(height) for x in range(width)))


def test_a_terminal_that_draws_sixels_draws_the_picture() -> None:
    colours = [bytes([at * 51, 255 - at * 51, at * 2 % 6 * 51]) for at in range(5)]
    for width, height in ((1, 1), (7, 6), (300, 13), (20, 5)):
        pixels = Pixels(
            width, height, b"".join(colours[(x // 9 + y) % 5] for y in range(height) for x in range(width))
        )
        assert drawn_from(sixel(pixels)) == pixels


def test_more_colours_than_registers_are_refused() -> None:
    many = Pixels(MAX_COLOURS + 1, 1, b"".join(bytes([at] * 3) for at in range(MAX_COLOURS + 1)))
    with pytest.raises(ValueError, match="registers"):
        sixel(many)


@given(PICTURES, st.sampled_from(Way), st.sampled_from([{}, {"TMUX": "x"}]))
def test_u_01_whatever_the_pixels_nothing_but_our_sequences_is_written(
    pixels: Pixels, way: Way, environment: dict[str, str]
) -> None:
    pixels = scaled(Pixels(pixels.width, pixels.height, bytes(each & 0xC0 for each in pixels.rgb)), 12, 9)
    sent = shown(pixels, Drawing(way), columns=20, rows=9, environment=environment)
    virtual_cells = rf"(\x1b\[38;2;94;196;167m({PLACEHOLDER}\u0305[\u0300-\u036f])+\x1b\[0m\n)+"
    kitty = r"\x1b_G[a-zA-Z0-9=,]*;[A-Za-z0-9+/=]*\x1b\\"
    whole = {
        Way.BLOCKS: r"((\x1b\[[\d;]+m)|▀|\n)+",
        Way.SIXEL: r'\x1bP0;1q["#$\-!?-~\d;]*\x1b\\\n',
        Way.KITTY: rf"({kitty})+\n"
        if not environment
        else rf"\x1bPtmux;(\x1b\x1b_G[^\x1b]*\x1b\x1b\\)+\x1b\\{virtual_cells}",
    }
    assert re.fullmatch(whole[way], sent)


def test_a_picture_is_decoded_as_large_as_it_is_drawn() -> None:
    assert box_of(Drawing(Way.BLOCKS), columns=80, rows=22) == ((80, 44), 0)
    assert box_of(Drawing(Way.KITTY, (10, 20)), columns=80, rows=22) == ((800, 440), 0)
    assert box_of(Drawing(Way.SIXEL, (10, 20)), columns=200, rows=60) == ((800, 600), MAX_COLOURS)
    assert box_of(Drawing(Way.BLOCKS), columns=0, rows=-1) == ((1, 1), 0)
    assert cells_of(Pixels(81, 32, b""), Drawing(cell=(8, 16))) == (11, 2)


def test_tmux_hands_on_what_it_is_told_to() -> None:
    assert through("\x1b_Gx\x1b\\", tmux=True) == "\x1bPtmux;\x1b\x1b_Gx\x1b\x1b\\\x1b\\"
    assert through("", tmux=True) == ""
    assert through("\x1bx", tmux=False) == "\x1bx"
