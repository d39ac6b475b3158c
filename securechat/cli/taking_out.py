"""`securechat export`, `securechat import`: a conversation as a file, and back."""

import asyncio
import os
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import click

from securechat.cli.faces import face_of
from securechat.cli.options import Account, account_options
from securechat.cli.speech import tell
from securechat.client.exported import (
    MAX_LINE,
    NotImported,
    Said,
    header_of,
    is_exported,
    judge,
    read_header,
    read_said,
)
from securechat.client.exporting import FORMATS, Format
from securechat.client.face import Face
from securechat.locale.catalogue import say

PAGE: Final = 500
BATCH_BYTES: Final = 256 * 1024
"""Of a file, so many go to the holder in one call: well under a line of its socket."""

FIRST: Final = -(1 << 62)
"""Before every message: those that were imported have numbers below zero."""


@click.command()
@account_options
@click.argument("conversation")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="jsonl", show_default=True)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, allow_dash=True),
    default="-",
    help="A new file, for you alone; an existing one is never overwritten. Without it: stdout.",
)
def export(account: Account, conversation: str, form: str, output: Path) -> None:
    """Write all of CONVERSATION (@user or #room), readable for everybody who gets hold of it.

    What is to disappear is left out, and so are placeholders for what could not be read here.
    Needs no network.
    """
    with _opened(output) as file:
        left_out = asyncio.run(_export(account, conversation, FORMATS[form], file))
    if left_out:
        tell(say("left out: {count} that are to disappear or could not be read here", count=left_out))


@click.command("import")
@account_options
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def import_(account: Account, file: Path) -> None:
    """Take the messages of FILE, as `export --format jsonl` wrote it, into their conversation.

    They stand before all others and are marked as imported: a file proves nothing. What is here already
    is left as it is. Needs no network.
    """
    with file.open("rb") as lines:
        if not lines.seekable():
            raise click.UsageError(
                f"{file} can be read only once, and is judged before it is taken: save it first"
            )
        header, count = judge(_lines(lines))
        kept = asyncio.run(_import(account, lines, count))
    tell(say("{kept} of {count} messages taken into {name}", kept=kept, count=count, name=header.room))


async def _export(account: Account, name: str, form: Format, file: BinaryIO) -> int:
    left_out = 0
    async with face_of(account, offline=True) as face:
        conversation = await face.conversation(name)
        header = header_of(conversation, user=(await face.status()).user, now=int(time.time()))
        file.write(form.begin(header).encode())
        after = FIRST
        while page := await face.timeline(conversation.name, after=after, limit=PAGE):
            after = page[-1].local_id
            for message in page:
                if is_exported(message):
                    file.write(form.message(message).encode())
                else:
                    left_out += 1
        file.write(form.end.encode())
    return left_out


async def _import(account: Account, file: BinaryIO, count: int) -> int:
    """Hand the file over from its end: each batch takes its place before what is there already."""
    places = _places(file)
    if len(places) != count + 2:
        raise NotImported("the file changes while it is read; nothing was taken")
    header = _line_at(file, places[0])
    kept, end = 0, count + 1
    async with face_of(account, offline=True) as face:
        while end > 1:
            begin = end - 1
            while begin > 1 and places[end] - places[begin - 1] <= BATCH_BYTES:
                begin -= 1
            batch = [read_said(_line_at(file, places[n]), n + 1) for n in range(begin, end)]
            kept += await _hand_over(face, header, batch)
            end = begin
    return kept


async def _hand_over(face: Face, header: bytes, batch: list[Said]) -> int:
    return await face.bring_in(read_header(header), batch)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while line := file.readline(MAX_LINE + 2):
        yield line


def _places(file: BinaryIO) -> "array[int]":
    """Where each line begins, and the file ends."""
    places, place = array("q"), 0
    for line in _lines(file):
        places.append(place)
        place += len(line)
    places.append(place)
    return places


def _line_at(file: BinaryIO, place: int) -> bytes:
    file.seek(place)
    return file.readline(MAX_LINE + 2)


@contextmanager
def _opened(output: Path) -> Iterator[BinaryIO]:
    """Stdout, or a file that was not there before; one that is not finished is taken away again."""
    if str(output) == "-":
        stdout = sys.stdout.buffer
        yield stdout
        stdout.flush()
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(output, flags, 0o600)
    except FileExistsError:
        raise click.UsageError(say("{path} is there already; nothing was written", path=output)) from None
    except OSError as problem:
        raise click.UsageError(f"{output}: {problem.strerror}") from problem
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a full disk may say so only here
    except BaseException:
        output.unlink(missing_ok=True)
        raise
