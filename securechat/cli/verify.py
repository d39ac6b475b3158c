"""`securechat verify`: whether somebody is who they seem to be, for people and for scripts."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import click
import msgspec

from securechat.cli.faces import face_of
from securechat.cli.json_lines import print_json
from securechat.cli.key_log import show_log
from securechat.cli.known import contact_text
from securechat.cli.options import Account, account_options
from securechat.cli.speech import show, tell
from securechat.cli.verifying import code_lines, compare_first, compare_picture, number_lines
from securechat.client.errors import ExitCode
from securechat.client.events import Contact, Identity
from securechat.client.face import Face
from securechat.locale.catalogue import say, tr

MAX_CODE: Final = 4096
"""Characters of a code on stdin that are read."""


@click.command()
@account_options
@click.argument("person", metavar="[PERSON]", required=False)
@click.option(
    "--number", metavar="DIGITS", help="The number is the same: it, or its first five digits or more."
)
@click.option(
    "--scan",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="PICTURE",
    help="Compare the code in a picture (PNG, JPEG): of the other one's screen, or sent by another way.",
)
@click.option("--code", metavar="CODE", help="Compare a code that was copied as text; - reads it from stdin.")
@click.option("--unverify", is_flag=True, help="Take the mark back.")
@click.option("--list", "listed", is_flag=True, help="Say how it stands with everybody, or with PERSON.")
@click.option("--log", "of_log", is_flag=True, help="Say what was checked of the server's key log.")
@click.option(
    "--evidence",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --log: write down what proves that the server has lied.",
)
@click.option("--no-qr", is_flag=True, help="Show the number, and the code as text only.")
@click.option("--screen-reader", is_flag=True, help="The same: nothing that is only to be looked at.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per person.")
def verify(  # noqa: PLR0913, PLR0917 - one parameter per option, as click passes them
    account: Account,
    person: str | None,
    number: str | None,
    scan: Path | None,
    code: str | None,
    unverify: bool,
    listed: bool,
    of_log: bool,
    evidence: Path | None,
    no_qr: bool,
    screen_reader: bool,
    as_json: bool,
) -> int:
    """Show what to compare with PERSON (@user) outside the chat, or say that it is the same.

    One act is for all devices of theirs, now and later, until their account key changes. Ends with 4 if
    what was compared is not the same, or their keys have changed and are not accepted. Needs no network.
    """
    acts = [each for each in (number, scan, code, unverify or None, listed or None) if each is not None]
    _check_usage(person, len(acts), listed=listed, of_log=of_log, writes=evidence is not None)
    if of_log:
        return asyncio.run(show_log(account, as_json=as_json, evidence=evidence))
    if code == "-":
        code = sys.stdin.read(MAX_CODE)
    work = _act(account, person, number=number, scan=scan, code=code, unverify=unverify)
    people = asyncio.run(work)
    if as_json:
        for each in people:
            print_json({"type": "contact"} | msgspec.structs.asdict(each))
    elif listed:
        for each in people:
            show(contact_text(each))
    else:
        _print(people[0], acted=bool(acts), draws=not (no_qr or screen_reader) and sys.stdout.isatty())
    changed = any(each.identity is Identity.CHANGED for each in people)
    return int(ExitCode.UNTRUSTED) if changed else 0


def _check_usage(person: str | None, acts: int, *, listed: bool, of_log: bool, writes: bool) -> None:
    if acts + of_log > 1:
        raise click.UsageError(tr("give one of --number, --scan, --code, --unverify, --list and --log"))
    if of_log and person is not None:
        raise click.UsageError(tr("--log is about the server, not about a person"))
    if writes and not of_log:
        raise click.UsageError(tr("--evidence goes with --log"))
    if person is None and not (listed or of_log):
        raise click.UsageError(tr("whom? give @user, or --list"))
    if person is not None and not person.startswith("@"):
        raise click.UsageError(say("{name} is no @user", name=repr(person)))


async def _act(
    account: Account,
    person: str | None,
    *,
    number: str | None,
    scan: Path | None,
    code: str | None,
    unverify: bool,
) -> list[Contact]:
    """Do what was asked; return how it stands then, with one or with everybody."""
    async with face_of(account, offline=True) as face:
        if person is None:
            return await face.contacts()
        await _compare(face, person, number=number, scan=scan, code=code)
        if unverify:
            await face.clear_verified(person)
        return [await face.contact(person)]


async def _compare(
    face: Face, person: str, *, number: str | None, scan: Path | None, code: str | None
) -> None:
    if number is not None:
        await face.set_verified(person, number)
    if scan is not None:
        await compare_picture(face, person, scan)
    if code is not None:
        await compare_first(face, person, [code])


def _print(contact: Contact, *, acted: bool, draws: bool) -> None:
    """Show a person; what to do next stands on stderr."""
    if acted:
        show(number_lines(contact)[0])
        return
    for line in [*number_lines(contact), contact.code]:
        show(line)
    if draws:
        click.echo("\n".join(code_lines(contact, colours="NO_COLOR" not in os.environ)))
    user = contact.user
    hint = f"securechat verify USER @{user} --number DIGITS"
    tell(say("the same on both sides? then: {command}", command=hint))
    hint = f"securechat verify USER @{user} --scan PICTURE"
    tell(say("or scan what the other one shows: {command}", command=hint))
