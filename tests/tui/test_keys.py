"""Keys and settings, and the file in which a person says otherwise."""

from pathlib import Path

import pytest
from textual._xterm_parser import XTermParser
from textual.events import Key as Pressed

from securechat.tui.acts import Acts
from securechat.tui.keys import KEYS, NUMBERS, BadKeys, keymap, keys_of, learn_alt_keys
from securechat.tui.settings import Settings, load


def test_no_key_does_two_things() -> None:
    keys = [name for key in KEYS.values() for name in key.keys]
    assert len(keys) == len(set(keys))
    assert not set(keys) & NUMBERS.keys()


def test_every_action_is_done_by_something() -> None:
    assert [action for action in KEYS if not hasattr(Acts, f"_{action}")] == []


def test_a_key_that_is_given_elsewhere_is_taken_from_its_usual_action() -> None:
    keys = keymap({"help": ["ctrl+k", "F9"], "quit": "alt+q"})
    assert keys["ctrl+k"] == "help"
    assert keys["ctrl+p"] == "switch"
    assert "f1" not in keys
    assert keys_of(keys, "help") == "Ctrl+K, F9"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[keys]\nhlep = "f1"', "'hlep' is no action; there are: switch"),
        ("[keys]\nhelp = 3", "help: a key is a text"),
        ('[keys]\nhelp = ""', "help: a key is a text"),
        ('[keys]\nhelp = "f9"\nquit = "f9"', "f9 is given to both"),
        ('[screen]\ncolour = "red"', "unknown field `colour`"),
        ('[screen]\ntheme = "pink"', "pink"),
        ('[scren]\ntheme = "dark"', "'scren' is not known"),
        ("keys = 3", "'keys' is not known"),
        ("not toml", "keys.toml cannot be read"),
        ('[screen]\nnotify = "desktop"', "securechat[desktop]"),
    ],
)
def test_a_file_that_is_not_understood_is_refused_in_words(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text(text)
    with pytest.raises(BadKeys) as refused:
        load([tmp_path])
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_profiles_file_goes_before_the_common_one(tmp_path: Path) -> None:
    common, own = tmp_path / "common", tmp_path / "own"
    for folder, text in (
        (common, '[screen]\ntheme = "light"\nnotify = "off"\n[keys]\nhelp = "f9"'),
        (own, '[screen]\ntheme = "contrast"'),
    ):
        folder.mkdir()
        (folder / "keys.toml").write_text(text)
    chosen = load([common, own, tmp_path / "none"])
    assert chosen.settings == Settings(theme="contrast", notify="off")
    assert chosen.keys["f9"] == "help"


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("\x1bk\x1bk\x1bj", ["alt+k", "alt+k", "alt+j"]),
        ("\x1b1\x1b0", ["alt+1", "alt+0"]),
        ("\x1b\r", ["alt+enter"]),
        ("\x1b\x7f", ["alt+backspace"]),
        ("\x1b[A", ["up"]),
        ("\x1b[107;3u", ["alt+k"]),
    ],
)
def test_alt_with_a_key_is_known_at_once_however_a_terminal_sends_it(sent: str, keys: list[str]) -> None:
    learn_alt_keys()
    assert [event.key for event in XTermParser().feed(sent) if isinstance(event, Pressed)] == keys
