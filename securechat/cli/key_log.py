"""`securechat verify USER --log`: what was checked of the server's key log, in words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from securechat.cli.faces import face_of
from securechat.cli.json_lines import print_json
from securechat.cli.options import Account
from securechat.cli.show import clock as when
from securechat.cli.speech import show, tell
from securechat.client.errors import ExitCode
from securechat.client.events import KeyLog
from securechat.client.private_files import replace_file
from securechat.locale.catalogue import mark, say, told, tr

CHANGES: Final = {
    "account_registered": mark("account made"),
    "device_added": mark("device added"),
    "device_revoked": mark("device revoked"),
    "account_key_replaced": mark("account key replaced"),
    "renewed": mark("renewed"),
}
"""What an entry says was changed."""


async def show_log(account: Account, *, as_json: bool, evidence: Path | None) -> int:
    """Say it, write evidence where there is some; 4 if the server was caught."""
    async with face_of(account, offline=True) as face:
        found = await face.key_log()
    if as_json:
        print_json({"type": "key_log"} | msgspec.to_builtins(found))
    else:
        for line in log_lines(found):
            show(line)
    if evidence is not None:
        _write(found, evidence)
    return int(ExitCode.UNTRUSTED) if found.caught else 0


def log_lines(found: KeyLog) -> Iterator[str]:
    """What was checked, and what did not hold."""
    if not found.kept:
        yield tr("the server keeps no key log, as far as this device was told: nothing was checked")
    else:
        yield from _checked(found)
    for each in found.caught:
        date, text = when(each.since), told(each.text)
        yield say("CAUGHT, {date}: {text} ({code})", date=date, text=text, code=each.code)
        if each.evidence:
            yield tr("there is evidence that convinces anybody who knows the server's key: --evidence FILE")
        yield say("what to do: {advice}", advice=tr(each.advice))


def _checked(found: KeyLog) -> Iterator[str]:
    yield say(
        "the server's key log has {size} entries; its head was signed {signed} and taken {taken}",
        size=found.size,
        signed=when(found.signed),
        taken=when(found.taken),
    )
    yield say(
        "it extends every head that this device was shown since {date}, when it had {size} entries",
        date=when(found.first_taken),
        size=found.first_size,
    )
    yield say("entries of your account, each made by you: {count}", count=len(found.entries))
    for each in found.entries:
        changes = ", ".join(tr(CHANGES.get(change, change)) for change in each.changes)
        yield f"  {each.revision}. {when(each.timestamp)} {changes}"
    yield say("people whose keys were looked up in it: {count}", count=found.people)
    agreed = [each for each in found.heard if each.agrees]
    if not agreed:
        yield tr("nobody has told yet which log they were shown: it is told by the messages of others")
    for head in agreed:
        yield say(
            "@{user} was shown the same log ({size} entries, told {date})",
            user=head.user,
            size=head.size,
            date=when(head.heard),
        )


def _write(found: KeyLog, file: Path) -> None:
    evidence = next((each.evidence for each in found.caught if each.evidence), b"")
    if not evidence:
        tell(tr("there is no evidence to write down"))
        return
    replace_file(file, evidence)
    tell(say("written: {file}", file=file))
