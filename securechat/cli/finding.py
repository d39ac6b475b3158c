"""`securechat search`, `securechat history`: what was said, from this machine's own store."""

import functools
from datetime import date, datetime
from typing import Final

import click

from securechat.cli.json_lines import message_json, print_json
from securechat.cli.once import once
from securechat.cli.options import Account, account_options
from securechat.cli.show import message_text
from securechat.cli.speech import show
from securechat.client.events import Message, MessageState
from securechat.client.face import Face
from securechat.locale.catalogue import tr

MOST: Final = 100_000
"""Messages that one command prints; `export` writes all there are."""

PAGE: Final = 500


@click.command()
@account_options
@click.argument("words")
@click.option("--in", "conversation", metavar="CONVERSATION", help="Only in this one: @user or #room.")
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def search(account: Account, words: str, conversation: str | None, limit: int, as_json: bool) -> int:
    """Find messages that have all WORDS, in any script and case, the newest first.

    The last word may be the beginning of one; words in double quotes are looked for as they stand.
    Ends with 8 if there is nothing. Needs no network.
    """
    found = once(
        account, functools.partial(_search, words=words, conversation=conversation, limit=limit), offline=True
    )
    _print(found, as_json=as_json)
    return 0 if found else EXIT_NOTHING


EXIT_NOTHING: Final = 8


@click.command()
@account_options
@click.argument("conversation")
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True)
@click.option("--before", type=int, default=0, metavar="LOCAL_ID", help="Only what is older than this one.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), metavar="DAY", help="From this day on.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def history(
    account: Account, conversation: str, limit: int, before: int, since: datetime | None, as_json: bool
) -> None:
    """Print the last messages of CONVERSATION (@user or #room), oldest first. Needs no network."""
    if since is not None and before:
        raise click.UsageError(tr("--since goes forward, --before goes back: give one of them"))
    day = since.date() if since is not None else None
    work = functools.partial(_history, name=conversation, limit=limit, before=before, since=day)
    _print(once(account, work, offline=True), as_json=as_json)


async def _search(face: Face, words: str, conversation: str | None, limit: int) -> list[Message]:
    found: list[Message] = []
    while len(found) < limit:
        before = found[-1].local_id if found else 0
        size = min(PAGE, limit - len(found))
        page = await face.search(words, conversation=conversation, limit=size, before=before)
        if not page:
            break
        found += page
    return found


async def _history(face: Face, name: str, limit: int, before: int, since: date | None) -> list[Message]:
    found: list[Message] = []
    first = await face.at_date(name, since) if since is not None else 0
    if since is not None and not first:
        return []
    while len(found) < limit:
        size = min(PAGE, limit - len(found))
        if first:
            after = found[-1].local_id if found else first - 1 or -1  # 0 is "none", and nobody's number
            page = await face.timeline(name, after=after, limit=size)
            found += page
        else:
            page = await face.timeline(name, before=found[0].local_id if found else before, limit=size)
            found = page + found
        if not page:
            break
    return found


def _print(messages: list[Message], *, as_json: bool) -> None:
    for message in messages:
        if as_json:
            readable = message.state is not MessageState.UNREADABLE
            print_json(message_json(message, kind="message" if readable else "undecryptable"))
        else:
            show(message_text(message))
