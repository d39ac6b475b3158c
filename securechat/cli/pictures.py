"""`securechat picture`: a picture that somebody sent, drawn on the terminal."""

import os
import shutil
import sys
from pathlib import Path

import click

from securechat.cli.once import once
from securechat.cli.options import Account, account_options
from securechat.client.face import Face
from securechat.locale.catalogue import tr
from securechat.pictures.decoding import decoded_file
from securechat.pictures.showing import box_of, shown
from securechat.pictures.terminal import Drawing, Way, asked


@click.command()
@account_options
@click.argument("message", metavar="ID")
@click.option(
    "--way",
    type=click.Choice(["auto", *Way]),
    default="auto",
    show_default=True,
    help="How to draw; auto asks the terminal.",
)
def picture(account: Account, message: str, way: str) -> None:
    """Draw the picture in the message ID on the terminal; it is fetched if it is not here yet.

    ID is the message's id, six digits of it or more, or its number on this machine. PNG, JPEG, GIF and
    WebP are drawn, by what they are and not by their names. Needs the extra securechat[pictures].
    """
    if not sys.stdout.isatty():
        raise click.UsageError(tr("pictures are drawn on a terminal; `securechat download` saves them"))
    draw(Path(once(account, lambda face: _fetched(face, message))), way=way)


def draw(path: Path, *, way: str = "auto") -> None:
    """Draw the picture in a file on the terminal. Blocks.

    :param way: ``auto`` asks the terminal
    :raises NotDrawable: nothing was drawn
    """
    drawing = _asked() if way == "auto" else Drawing(Way(way))
    columns, rows = shutil.get_terminal_size()
    rows = max(rows - 2, 1)
    box, colours = box_of(drawing, columns=columns, rows=rows)
    pixels = decoded_file(path, box=box, colours=colours)
    out = sys.__stdout__  # whatever stands before it lets no sequence through
    if out is not None:
        out.write(shown(pixels, drawing, columns=columns, rows=rows))
        out.flush()


def _asked() -> Drawing:
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | getattr(os, "O_NOCTTY", 0))
    except OSError:
        return Drawing()
    try:
        return asked(terminal)
    finally:
        os.close(terminal)


async def _fetched(face: Face, message: str) -> str:
    return await face.fetch_file(message)
