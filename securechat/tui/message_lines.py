"""How one message is drawn: pure, from a value and a width to lines.

A message stands under its sender's name and time, two columns in; what follows from the same sender
within a few minutes stands under the same head. A head begins in the first column, text never does, so
that no text can pass for another sender's. Every state is a sign or a word, never a colour alone.
"""

from datetime import datetime, tzinfo
from typing import Final

from msgspec import Struct
from rich.cells import cell_len

from securechat.client.doubt import IMPORTED, doubt
from securechat.client.events import FileInfo, Kind, Message, MessageState, Poll
from securechat.locale.catalogue import mark, told, tr
from securechat.sizes import size_text
from securechat.tui.paint import Line, Piece, Role, line
from securechat.tui.picture_lines import thumbnail_lines
from securechat.tui.summary import caption
from securechat.tui.wrap import clean, clean_block, cut, rows

INDENT: Final = "  "
NARROW: Final = 8
"""Columns below which text takes the whole row."""

SAME_BREATH: Final = 300
"""Seconds within which messages of one sender stand under one head."""

MOST_ROWS: Final = 40
MOST_POINTS: Final = 4096
"""Rows, and code points, of a message that are drawn unasked: a page of the longest would take seconds."""

_BAR: Final = 10
"""Cells of a poll's bar."""

DAYS: Final = (
    mark("Monday"),
    mark("Tuesday"),
    mark("Wednesday"),
    mark("Thursday"),
    mark("Friday"),
    mark("Saturday"),
    mark("Sunday"),
)


class Setting(Struct, frozen=True, kw_only=True):
    """What a message's lines depend on beside itself. ``others`` is how many people could read ours."""

    width: int
    kind: Kind = Kind.DIRECT
    others: int = 1
    zone: tzinfo | None = None
    pictures: bool = False
    """Whether thumbnails are drawn."""


class Place(Struct, frozen=True, kw_only=True):
    """What stands before a message, and what it answers, if that is at hand."""

    head: bool = True
    day: bool = False
    unread: bool = False
    chosen: bool = False
    answers: str = ""
    whole: bool = False
    """Whether all of a long text is drawn."""


def place_of(
    message: Message,
    before: Message | None,
    *,
    zone: tzinfo | None,
    unread: bool,
    chosen: bool,
    answers: str,
    whole: bool = False,
) -> Place:
    """Say how a message stands below the one before it."""
    day = before is None or _moment(before.timestamp, zone).date() != _moment(message.timestamp, zone).date()
    return Place(
        head=day or unread or before is None or not _is_same_breath(before, message),
        day=day,
        unread=unread,
        chosen=chosen,
        answers=answers,
        whole=whole,
    )


def message_lines(message: Message, place: Place, setting: Setting) -> list[Line]:
    """Draw one message; with what stands above it: a day, the unread marker, its head."""
    width = setting.width
    drawn: list[Line] = []
    if place.day:
        drawn.append(day_line(message.timestamp, setting))
    if place.unread:
        drawn.append(rule(tr("new"), width, Role.NEWS))
    body: list[Line] = []
    if place.head:
        body.append(_head(message, setting))
    body += _body(message, place, setting)
    return drawn + ([_chosen(one) for one in body] if place.chosen else body)


def note_lines(text: str, width: int, role: Role = Role.DIM) -> list[Line]:
    """Draw words of ours between the messages: each row begins with ``*``, as no message does."""
    drawn = []
    for one in clean_block(text).split("\n"):
        words = one.removeprefix("* ")
        drawn += [line(("* ", role), (row, role)) for row in rows(words, max(width - 2, 1))]
    return drawn


def day_line(seconds: int, setting: Setting) -> Line:
    moment = _moment(seconds, setting.zone)
    return rule(f"{tr(DAYS[moment.weekday()])} {moment:%Y-%m-%d}", setting.width, Role.RULE)


def rule(text: str, width: int, role: Role) -> Line:
    """A line across with words in it."""
    start = f"── {text} " if width > cell_len(text) + 4 else cut(text, width)
    return line((start + "─" * (width - cell_len(start)), role))


def clock(seconds: int, zone: tzinfo | None = None) -> str:
    return f"{_moment(seconds, zone):%H:%M}"


def state_words(message: Message, setting: Setting) -> tuple[str, Role]:
    """What became of a message of ours: a sign and, where there is more to say, a word."""
    if message.state is MessageState.REFUSED:
        return f"✗ {tr('refused')} ({clean(message.code)})", Role.WARN
    if message.state is MessageState.QUEUED:
        return f"… {tr('queued')}", Role.DIM
    for users, word in ((message.read_by, tr("read")), (message.delivered_to, tr("delivered"))):
        if users:
            count = "" if setting.kind is Kind.DIRECT else f" {len(users)}/{max(setting.others, len(users))}"
            return f"✓✓ {word}{count}", Role.GOOD if users is message.read_by else Role.DIM
    return f"✓ {tr('stored')}", Role.DIM


def _is_same_breath(before: Message, message: Message) -> bool:
    return (
        before.sender == message.sender
        and before.own == message.own
        and before.verified == message.verified
        and before.state is not MessageState.UNREADABLE
        and message.state is not MessageState.UNREADABLE
        and 0 <= message.timestamp - before.timestamp <= SAME_BREATH
        and not message.mentions_me
    )


def _head(message: Message, setting: Setting) -> Line:
    name = f"@{clean(message.sender)}" if message.sender else tr("somebody")
    when = clock(message.timestamp, setting.zone)
    parts = [Piece(name, Role.OWN if message.own else Role.NAME), Piece(f" {when}", Role.DIM)]
    if word := doubt(message.verified):
        parts.append(Piece(f" ! {told(word)}", Role.WARN))
    if message.mentions_me:
        parts.append(Piece(f" « {tr('to you')}", Role.NEWS))
    if message.thread:
        parts.append(Piece(f" [{clean(message.thread)}]", Role.DIM))
    used = cell_len(name)
    if used >= setting.width:
        return (Piece(cut(name, setting.width), parts[0].role),)
    return tuple(parts)


def _body(message: Message, place: Place, setting: Setting) -> list[Line]:
    inner = _inner(setting.width)
    if message.state is MessageState.UNREADABLE:
        return _indented(_unreadable(message, inner), setting.width)
    drawn: list[Line] = []
    if message.reply_to:
        drawn.append(line((cut(f"> {place.answers or tr('an earlier message')}", inner), Role.DIM)))
    drawn += _content(message, inner, setting, whole=place.whole)
    if message.reactions:
        drawn += _reactions(message, inner)
    return _indented(drawn, setting.width)


def _content(message: Message, inner: int, setting: Setting, *, whole: bool) -> list[Line]:
    if message.deleted:
        drawn = [line((row, Role.DIM)) for row in rows(tr("(withdrawn by its author)"), inner)]
    elif message.poll is not None:
        drawn = _poll(message.poll, inner)
    else:
        text = message.text if message.file is None else caption(message)
        drawn = _text(text, inner, whole=whole) if text else []
        if message.file is not None:
            small = thumbnail_lines(message.file.thumbnail, inner) if setting.pictures else []
            drawn = [*_file(message.file, inner), *small, *drawn]
    for words, role in _after(message, setting):
        drawn = _appended(drawn or [()], words, role, inner)
    return drawn


def _text(text: str, inner: int, *, whole: bool) -> list[Line]:
    """The words of a message; of a long one the first rows, for nobody is to fill, or stop, a screen."""
    shown = text if whole else "\n".join(text[:MOST_POINTS].split("\n")[: MOST_ROWS + 1])
    drawn = [line(row) for row in rows(clean_block(shown), inner)]
    if whole or (shown == text and len(drawn) <= MOST_ROWS):
        return drawn
    more = tr("… there is more of it: choose it (Alt+K), Enter shows all")
    return [*drawn[:MOST_ROWS], *(line((row, Role.NEWS)) for row in rows(more, inner))]


def _after(message: Message, setting: Setting) -> list[tuple[str, Role]]:
    after: list[tuple[str, Role]] = []
    if message.edited and not message.deleted:
        after.append((f"({tr('edited')})", Role.DIM))
    if message.expires:
        after.append((tr("(until {time})").format(time=clock(message.expires, setting.zone)), Role.DIM))
    if message.own and message.verified != IMPORTED:  # of that one nothing was ever sent from here
        after.append(state_words(message, setting))
    return after


def _appended(drawn: list[Line], words: str, role: Role, inner: int) -> list[Line]:
    """Put words of ours behind the last row if there is room, else below it."""
    used = sum(cell_len(piece.text) for piece in drawn[-1])
    if used + 2 + cell_len(words) <= inner:
        space = "  " if drawn[-1] else ""
        return [*drawn[:-1], (*drawn[-1], Piece(space), Piece(words, role))]
    return [*drawn, *(line((row, role)) for row in rows(words, inner))]


def _unreadable(message: Message, inner: int) -> list[Line]:
    words = tr("! cannot be decrypted (epoch {epoch}, {code}); /why says more").format(
        epoch=message.epoch, code=clean(message.code)
    )
    return [line((row, Role.WARN)) for row in rows(words, inner)]


def _reactions(message: Message, inner: int) -> list[Line]:
    said = "  ".join(
        f"{clean(one.text)} {_people(one.users)}" for one in message.reactions if one.text and one.users
    )
    return [line((row, Role.DIM)) for row in rows(said, inner)] if said else []


def _people(users: tuple[str, ...]) -> str:
    return f"@{clean(users[0])}" if len(users) == 1 else str(len(users))


def _poll(poll: Poll, inner: int) -> list[Line]:
    title = f"{tr('Poll')}: {clean(poll.question)}" + (f" ({tr('closed')})" if poll.closed else "")
    drawn = [line((row, Role.NEWS)) for row in rows(title, inner)]
    most = max([1, *(len(option.voters) for option in poll.options)])
    for number, option in enumerate(poll.options, 1):
        votes = len(option.voters)
        drawn += [line(row) for row in rows(f"{number}. {clean(option.text)}", inner)]
        bar = "█" * round(_BAR * votes / most)
        drawn.append(line((cut(f"   {bar} {votes}", inner), Role.DIM)))
    return drawn


def _file(file: FileInfo, inner: int) -> list[Line]:
    told = ", ".join(
        part for part in (size_text(file.size), clean(file.content_type), tr(clean(file.state))) if part
    )
    drawn = [line((row, Role.NEWS)) for row in rows(f"{tr('File')}: {clean(file.name)} ({told})", inner)]
    if file.path:
        drawn += [line((row, Role.DIM)) for row in rows(f"{tr('saved as')} {clean(file.path)}", inner)]
    return drawn


def _inner(width: int) -> int:
    return width - len(INDENT) if width >= NARROW else width


def _indented(drawn: list[Line], width: int) -> list[Line]:
    return [(Piece(INDENT), *one) for one in drawn] if width >= NARROW else drawn


def _chosen(drawn: Line) -> Line:
    """Mark a line of the chosen message: a sign in its first column where there is room for one."""
    first = drawn[0] if drawn else Piece("")
    if first.text.startswith(INDENT):
        return (Piece("▌ ", Role.CHOSEN), Piece(first.text[len(INDENT) :], first.role), *drawn[1:])
    return (Piece("", Role.CHOSEN), *drawn)


def _moment(seconds: int, zone: tzinfo | None) -> datetime:
    """The local time; a number that is no date is the first one there is."""
    try:
        return datetime.fromtimestamp(seconds, tz=zone).astimezone(zone)
    except (OverflowError, OSError, ValueError):
        return datetime.fromtimestamp(0, tz=zone).astimezone(zone)
