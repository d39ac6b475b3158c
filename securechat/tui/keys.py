"""Keys: what each does, what it is by default, and the file in which a person says otherwise.

The names are those of the screen's own actions; a name that is none is refused in words, so that a slip
of the pen is not a key that silently does nothing.
"""

from typing import Final, NamedTuple, cast

from securechat.errors import SecureChatError
from securechat.locale.catalogue import mark


class BadKeys(SecureChatError):
    """The file of keys says something that is not understood; the text says what and where."""


class Key(NamedTuple):
    """An action's usual keys and what it does, for the help."""

    keys: tuple[str, ...]
    help: str


KEYS: Final[dict[str, Key]] = {
    "switch": Key(
        ("ctrl+k", "ctrl+p"), mark("go to a conversation by a few letters (Ctrl+K on an empty line)")
    ),
    "next_unread": Key(("alt+a",), mark("next conversation with something new")),
    "next": Key(("alt+down", "ctrl+down", "alt+right"), mark("next conversation")),
    "previous": Key(("alt+up", "ctrl+up", "alt+left"), mark("previous conversation")),
    "page_up": Key(("pageup",), mark("scroll up")),
    "page_down": Key(("pagedown",), mark("scroll down")),
    "start": Key(("alt+home", "ctrl+home"), mark("to the first message")),
    "end": Key(("alt+end", "ctrl+end"), mark("to the last message")),
    "date": Key(("alt+g",), mark("go to a date")),
    "search": Key(("ctrl+s", "ctrl+r"), mark("search all messages")),
    "mentions": Key(("alt+m",), mark("messages that mention you")),
    "bookmarks": Key(("alt+v",), mark("bookmarked messages")),
    "choose_up": Key(("alt+k",), mark("choose a message, then the one above")),
    "choose_down": Key(("alt+j",), mark("the one below")),
    "escape": Key(("escape",), mark("choose none; stop editing; forget words of ours")),
    "copy": Key(("alt+y",), mark("copy the chosen or last message to the clipboard")),
    "reply": Key(("alt+r",), mark("answer the chosen or last message")),
    "edit": Key(("alt+e",), mark("change the chosen message, or your last one (also Up on an empty line)")),
    "delete": Key(("alt+x",), mark("withdraw the chosen message for everyone")),
    "react": Key(("alt+p",), mark("react to the chosen or last message")),
    "bookmark": Key(("alt+o",), mark("bookmark the chosen or last message")),
    "picture": Key(("alt+i",), mark("look at the picture in the chosen or last message")),
    "cancel": Key(("alt+c",), mark("stop a file on its way")),
    "editor": Key(("ctrl+o",), mark("write in your own editor")),
    "rooms": Key(("f2",), mark("show or hide the conversations")),
    "people": Key(("f3",), mark("show or hide the people")),
    "bare": Key(("alt+l",), mark("messages only, to select them with the mouse")),
    "theme": Key(("f4",), mark("next theme")),
    "disturb": Key(("f5",), mark("do not disturb, and again")),
    "lock": Key(("f6",), mark("lock the screen")),
    "redraw": Key(("ctrl+l",), mark("draw the screen anew")),
    "help": Key(("f1",), mark("this help")),
    "quit": Key(("ctrl+c", "ctrl+q"), mark("leave; asks first")),
}

AS_KEYS: Final = {
    "help": "help",
    "h": "help",
    "?": "help",
    "mentions": "mentions",
    "bookmarks": "bookmarks",
    "lock": "lock",
    "theme": "theme",
    "bare": "bare",
    "unread": "next_unread",
    "editor": "editor",
}
"""Commands that do what a key does."""

NUMBERS: Final = {f"alt+{number % 10}": number - 1 for number in range(1, 11)}
"""Alt+1 to Alt+0 go to the first ten conversations; these are not bound otherwise."""


def keymap(changed: dict[str, object]) -> dict[str, str]:
    """Return key to action: the usual ones, with what the ``[keys]`` table of the file says instead.

    :raises BadKeys: an unknown action, something that is no key, or a key for two actions
    """
    chosen = {action: key.keys for action, key in KEYS.items()}
    for action, value in changed.items():
        if action not in KEYS:
            raise BadKeys(f"[keys] {action!r} is no action; there are: {', '.join(KEYS)}")
        names = value if isinstance(value, list) else [value]
        if not all(isinstance(name, str) and name for name in names):
            raise BadKeys(f'[keys] {action}: a key is a text such as "ctrl+k", or a list of them')
        chosen[action] = tuple(str(name).strip().lower() for name in names)
    found: dict[str, str] = {}
    # A key that somebody gave to an action is taken from the one that usually has it.
    for action in [*(one for one in KEYS if one not in changed), *(one for one in KEYS if one in changed)]:
        for name in chosen[action]:
            other = found.get(name)
            if other is not None and other in changed:
                raise BadKeys(f"[keys] {name} is given to both {other} and {action}")
            found[name] = action
    return found


def keys_of(map_: dict[str, str], action: str) -> str:
    """Return the keys of an action as one reads them: ``Ctrl+K, Ctrl+P``."""
    names = [name for name, bound in map_.items() if bound == action]
    return ", ".join("+".join(part.capitalize() for part in name.split("+")) for name in names)


class _Legacy(NamedTuple):
    """A key as Textual's table holds one."""

    value: str


def learn_alt_keys() -> None:
    """Know Alt with a key at once, also in terminals that send it as ESC and the key.

    Textual waits a tenth of a second for what may follow the ESC; a key that repeats faster than
    that would come out as text in the draft.
    """
    from textual._ansi_sequences import ANSI_SEQUENCES_KEYS  # noqa: PLC0415 - settings are read before Textual is

    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    table: dict[str, object] = {f"\x1b{one}": (_Legacy(f"alt+{one}"),) for one in letters}
    table |= {"\x1b\r": (_Legacy("alt+enter"),), "\x1b\x7f": (_Legacy("alt+backspace"),)}
    cast("dict[str, object]", ANSI_SEQUENCES_KEYS).update(table)
