"""What stands around the messages: the list of conversations, the people, the title and the status. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.cells import cell_len

from securechat.client.doubt import identity_word
from securechat.client.events import Conversation, FileMoved, Identity, Kind, Standing
from securechat.locale.catalogue import mark, say, told, tr
from securechat.tui.draft import Draft
from securechat.tui.paint import Line, Piece, Role, line
from securechat.tui.wrap import clean, cut

ROWS_EACH: Final = 2
"""Rows of one conversation in the list: its name, and the last thing said."""

STANDINGS: Final = {
    Standing.OPENING: mark("opening"),
    Standing.INVITED: mark("invited: /join enters"),
    Standing.JOINED: "",
    Standing.LEFT: mark("left"),
    Standing.REMOVED: mark("removed"),
    Standing.HELD: mark("on hold: /why"),
}

ROLES: Final = {
    "owner": mark("owner"),
    "admin": mark("admin"),
    "member": "",
    "reader": mark("reader"),
    "banned": mark("banned"),
}


IDENTITY_ROLES: Final = {
    Identity.VERIFIED: Role.GOOD,
    Identity.KNOWN: Role.DIM,
    Identity.CHANGED: Role.WARN,
    None: Role.DIM,
}
IDENTITY_SIGNS: Final = {Identity.VERIFIED: "✓ ", Identity.KNOWN: "", Identity.CHANGED: "! "}
"""Beside the word: no colour is needed to see it."""


def in_order(conversations: Iterable[Conversation]) -> list[Conversation]:
    """Return conversations as they are listed: where something was said last comes first."""
    return sorted(conversations, key=lambda one: (-one.last_time, one.name))


def rooms_lines(conversations: Sequence[Conversation], current: str, width: int) -> list[Line]:
    """Two rows for each conversation."""
    drawn: list[Line] = []
    for number, one in enumerate(conversations, 1):
        here = one.name == current
        digit = str(number % 10) if number <= 10 else " "
        count = _counts(one)
        head = cut(f"{'>' if here else ' '}{digit} {clean(one.name)}", max(width - len(count) - 1, 1))
        gap = " " * max(width - cell_len(head) - len(count), 0)
        role = Role.NEWS if one.unread else Role.NAME if here else Role.TEXT
        drawn.append(line((head, role), gap, (count, Role.NEWS)))
        said = tr(STANDINGS[one.state]) or (
            f"{tr('draft')}: {_first(one.draft)}" if one.draft and not here else clean(one.last)
        )
        drawn.append(line("   ", (cut(said, max(width - 3, 0)), Role.DIM)))
        if here:
            drawn[-2:] = [(Piece("", Role.CHOSEN), *one_line) for one_line in drawn[-2:]]
    return drawn


def people_lines(conversation: Conversation | None, width: int) -> list[Line]:
    """Who is in a conversation, the ones with a role first."""
    if conversation is None:
        return []
    drawn = [line((cut(tr("People ({count})").format(count=len(conversation.members)), width), Role.DIM))]
    rank = list(ROLES)
    for member in sorted(conversation.members, key=lambda one: (_rank(rank, one.role), one.user)):
        role = tr(ROLES.get(member.role, "")) if conversation.kind is not Kind.DIRECT else ""
        name = f"@{clean(member.user)}"
        word = tr(identity_word(member.identity))
        rest = " ".join(part for part in (role, f"x{member.devices}" if member.devices != 1 else "") if part)
        drawn.append(
            line(
                *_beside(
                    name, ((word, IDENTITY_ROLES.get(member.identity, Role.DIM)), (rest, Role.DIM)), width
                )
            )
        )
    return drawn


def _beside(name: str, words: Sequence[tuple[str, Role]], width: int) -> Iterator[str | tuple[str, Role]]:
    """A name and what is said of it, as far as there is room; a name is not cut for it."""
    yield cut(name, width)
    room = width - cell_len(name)
    for text, role in words:
        if text and room > 2:
            shown = f" {cut(text, room - 1)}"
            room -= cell_len(shown)
            yield shown, role


def title_line(conversation: Conversation | None, name: str, user: str) -> Line:
    """The name of what is open and what it is about."""
    if conversation is None:
        return line((clean(name) or f"securechat: {clean(user)}", Role.NAME))
    parts: list[str | tuple[str, Role]] = [(clean(conversation.name), Role.NAME)]
    if conversation.kind is Kind.ANNOUNCEMENT:
        parts.append((f" [{tr('announcements')}]", Role.DIM))
    about = " - ".join(part for part in (clean(conversation.title), clean(conversation.topic)) if part)
    if about and about != clean(conversation.name).lstrip("@#"):
        parts.append((f"  {about}", Role.DIM))
    if conversation.expires_after:
        parts.append((f"  {tr('disappears after')} {span_words(conversation.expires_after)}", Role.NEWS))
    if conversation.notify != "all":
        parts.append((f"  [{tr(NOTIFY.get(conversation.notify, ''))}]", Role.DIM))
    if conversation.state is Standing.HELD:
        why = clean(told(conversation.held_text))
        parts.append((f"  ! {tr('on hold')}: {why} ({clean(conversation.held_code)})", Role.WARN))
    return line(*parts)


NOTIFY: Final = {"mentions": mark("mentions only"), "mute": mark("muted")}


def status_line(
    conversation: Conversation | None, *, online: bool, why: str, waiting: int, dnd: bool
) -> Line:
    """Connection, verification, devices, epoch and suite: the most important first, for narrow screens."""
    parts: list[str | tuple[str, Role]] = []
    if online:
        parts.append((f"● {tr('connected')}", Role.GOOD))
    else:
        parts.append((f"○ {tr('not connected')}{': ' + clean(told(why)) if why else ''}", Role.WARN))
    if waiting:
        parts.append((f" | … {tr('{count} to send').format(count=waiting)}", Role.DIM))
    if dnd:
        parts.append((f" | {tr('do not disturb')}", Role.DIM))
    if conversation is not None and conversation.suite:
        if conversation.identity is not None:
            word = tr(identity_word(conversation.identity))
            sign = IDENTITY_SIGNS[conversation.identity]
            parts.append((f" | {sign}{word}", IDENTITY_ROLES[conversation.identity]))
        keys = f"{tr('epoch')} {conversation.epoch} | {conversation.suite}"
        parts.append((f" | {devices_text(conversation)} | {keys}", Role.DIM))
    elif conversation is not None:
        parts.append((f" | {tr('no keys yet')}", Role.DIM))
    return line(*parts)


def devices_text(conversation: Conversation) -> str:
    """How many devices are in a conversation, of those that the accounts of its members have."""
    here, lists = 0, list[int]()
    for member in conversation.members:
        here += member.devices
        lists += [] if member.listed is None else [member.listed]
    if len(lists) < len(conversation.members):
        return say("{count} devices", count=here)
    return tr("{count} of {all} devices").format(count=here, all=sum(lists))


def hint_line(
    to: str, draft: Draft, *, typing: Sequence[str], moving: Sequence[FileMoved], stops: str, below: bool
) -> Line:
    """Where the draft goes, and what goes on: the row above it.

    :param moving: files on their way
    :param stops: the keys that stop one
    :param below: there is more than what is in view
    """
    if draft.editing is not None:
        return line((tr("changing what you said; Esc stops"), Role.NEWS))
    parts: list[str | tuple[str, Role]] = [(f"{to} >", Role.NAME)]
    if draft.answering is not None:
        parts.append((f" {tr('answering')} @{clean(draft.answering.sender)}", Role.NEWS))
    if draft.aside and draft.is_empty:
        parts.append((f"  {tr('Esc: what was not sent')}", Role.NEWS))
    if typing:
        parts.append((f"  {', '.join(f'@{clean(one)}' for one in typing)} {tr('types')}…", Role.DIM))
    for moved in moving:
        part = 100 * moved.done // max(moved.total, 1)
        bar = "█" * (part // 10) + "░" * (10 - part // 10)
        parts.append((f"  {clean(moved.name)} {bar} {part}%", Role.DIM))
    if moving and stops:
        parts.append((f"  {say('{key} stops it', key=stops)}", Role.DIM))
    if below:
        parts.append((f"  {tr('there is more below (Alt+End)')}", Role.NEWS))
    return line(*parts)


def span_words(seconds: int) -> str:
    """A length of time for people, in its largest whole unit."""
    for size, unit in ((604800, tr("weeks")), (86400, tr("days")), (3600, tr("hours")), (60, tr("minutes"))):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} {tr('seconds')}"


def _counts(one: Conversation) -> str:
    mentions = f"@{one.mentions} " if one.mentions else ""
    muted = "-" if one.notify == "mute" else ""
    return f"{mentions}{one.unread}" if one.unread else muted


def _first(text: str) -> str:
    return clean(" ".join(text.split()))


def _rank(rank: list[str], role: str) -> int:
    return rank.index(role) if role in rank else len(rank)
