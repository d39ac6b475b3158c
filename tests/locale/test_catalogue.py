"""One catalogue: every text that is said is in every language, with the same places to fill in."""

import ast
import importlib
import re
from collections.abc import Iterator
from keyword import iskeyword
from typing import Final

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.cli.main import COMMANDS as CLI
from securechat.cli.main import cli, paragraphs
from securechat.client.commands import COMMANDS
from securechat.client.reasons import REASONS
from securechat.client.sentences import HOLDS, UNREADABLE
from securechat.locale.catalogue import ENGLISH, MAX_TOLD, say, told, tr, use, wanted
from securechat.locale.po import languages, load, parse
from securechat.locale.reading_back import filled, pattern_of
from securechat.protocol.messages import REFUSALS
from tests.locale.literals import ROOT, texts_in

OTHERS: Final = languages()
PLACE: Final = re.compile(r"{\w*}")

SPEAK: Final = (
    *("client/*.py", "cli/*.py", "tui/*.py", "names.py", "private_files.py"),
    *("membership/passwords.py", "membership/login.py", "membership/invite.py", "membership/linking.py"),
    *("membership/recovery_key.py", "membership/vault.py"),
    *("membership/verification_code.py", "pictures/*.py"),
    *("membership/judge.py", "membership/*_rules.py", "membership/reinit.py", "membership/room.py"),
)
"""Where sentences for whoever chats are made."""

FOR_OTHERS: Final = {
    **dict.fromkeys(("cli/server.py", "cli/admin.py", "cli/status_page.py"), "an operator's"),
    **dict.fromkeys(("cli/cert.py", "cli/manual.py", "cli/completion.py"), "an operator's or packager's"),
    **dict.fromkeys(("cli/demo.py", "cli/demo_server.py"), "shown once, to who tries it out"),
    **dict.fromkeys(("cli/witness.py", "client/witness.py"), "whoever watches a server compares lines"),
    "client/exporting.py": "a file for whoever gets it, as its JSON lines",
}
"""Files whose words are English for everybody, and why."""

COMMAND_OPERATORS: Final = {"server", "witness", "admin", "demo", "cert", "completion", "man"}

NO_SENTENCE: Final = re.compile(
    r"/[a-z]+ |@bob: TEXT|securechat[: /]|--password-f\w+ |ready \{0\}|Try: \{0\} --help"
)
"""What is typed, or only frames a sentence."""

NAMES: Final = {
    *("Secret Service", "macOS Keychain", "Windows Credential Locker", "X25519 with ML-KEM-768"),
    "MLS (RFC 9420), ChaCha20-Poly1305, {0}, Ed25519; over TLS 1.3",
    *("it was told then", "the log did not move", "Connect call failed", "server identity"),
    *(
        "id, conversation, path, caption, file, key, prefix, size, tags, digest, thumbnail",
        *("dict[str, object]", "nothing is written before there is a composer"),
    ),
}
"""Called so in every language, or read by nobody."""


def said() -> set[str]:
    """Every text in the code that is translated when it is said."""
    return {text for path in ROOT.rglob("*.py") for text in marked_in(path.read_text())}


def marked_in(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="tr" | "mark" | "say"), args=[ast.Constant(str(text))]):
                yield text


def filled_in(source: str) -> Iterator[tuple[str, set[str]]]:
    """Every text that is said with its places, and what they are given."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(
                func=ast.Name(id="say") | ast.Attribute(attr="_tell"),
                args=[ast.Constant(str(text))],
                keywords=keywords,
            ):
                yield text, {keyword.arg or "" for keyword in keywords}


def spoken() -> set[tuple[str, str]]:
    """Every text of several words where sentences are made, and the file it is in."""
    files = {path for pattern in SPEAK for path in ROOT.glob(pattern)}
    return {
        (name, text)
        for path in files
        if (name := path.relative_to(ROOT).as_posix()) not in FOR_OTHERS
        for _line, text in texts_in(path.read_text())
        if text not in NAMES and not NO_SENTENCE.match(text)
    }


def tables() -> set[str]:
    """What stands in tables by its code."""
    advice = {part for reason in REASONS.values() for part in reason}
    return {*advice, *HOLDS.values(), *UNREADABLE.values(), *REFUSALS.values()} | {
        text for _usage, text in COMMANDS.values()
    }


def helps() -> set[str]:
    """What the commands of whoever chats say of themselves."""
    found = {*paragraphs(cli.help or ""), *(text for _module, text in CLI.values())}
    for name in CLI.keys() - COMMAND_OPERATORS:
        module = importlib.import_module(CLI[name][0])
        command = getattr(module, f"{name}_" if iskeyword(name) else name)
        options = [each for each in command.params if isinstance(each, click.Option)]
        found |= {*paragraphs(command.help), *(each.help for each in options if each.help)}
    return found


@pytest.fixture
def english() -> Iterator[None]:
    yield
    use(ENGLISH)


@pytest.fixture
def german(english: None) -> None:
    del english
    use("de")


def test_there_is_a_second_language() -> None:
    assert "de" in OTHERS


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_has_its_words_and_keeps_its_places(language: str) -> None:
    known = load(language)
    assert sorted(said() - known.keys()) == []
    assert [
        one for one, other in known.items() if sorted(PLACE.findall(one)) != sorted(PLACE.findall(other))
    ] == []


@pytest.mark.parametrize("language", OTHERS)
def test_no_sentence_is_made_that_is_not_in_the_catalogue(language: str) -> None:
    """Whoever writes another sentence for people writes it in every language."""
    known = load(language)
    assert sorted(one for one in spoken() if one[1] not in known) == []
    assert sorted(tables() - known.keys()) == []


@pytest.mark.parametrize("language", OTHERS)
def test_every_help_is_in_the_catalogue(language: str) -> None:
    assert sorted(helps() - load(language).keys()) == []


def test_what_is_said_is_given_what_stands_in_its_places() -> None:
    wrong = [
        (text, sorted(given))
        for path in ROOT.rglob("*.py")
        for text, given in filled_in(path.read_text())
        if {place.strip("{}") for place in PLACE.findall(text)} != given
    ]
    assert wrong == []


def test_what_looks_for_sentences_finds_them() -> None:
    source = '''
"""A docstring is none."""
log.info("nor is a line of a log")
raise Refused(f"{name} may not speak in {room!r}")
db.execute("SELECT text FROM message")
text = "one sentence" if x else "another one"
'''
    found = {text for _line, text in texts_in(source)}
    assert found == {"{0} may not speak in {1}", "one sentence", "another one"}


def test_the_language_is_the_one_that_the_environment_asks_for() -> None:
    assert wanted({"LANG": "de_DE.UTF-8"}) == "de"
    assert wanted({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}) == ENGLISH
    assert wanted({"LANGUAGE": "de:en", "LANG": "fr_FR"}) == "de"
    assert wanted({"LANG": "xx"}) == wanted({}) == wanted({"LANG": "../../etc"}) == ENGLISH


@pytest.mark.usefixtures("english")
def test_what_a_language_lacks_is_said_in_english() -> None:
    use("de")
    assert tr("Monday") == "Montag"
    assert tr("a text that nobody translated") == told("a text that nobody translated")
    assert tr("a text that nobody translated") == "a text that nobody translated"
    use("../de")
    assert tr("Monday") == "Monday"


def test_a_po_file_is_read_with_its_continued_and_quoted_lines() -> None:
    text = r"""
# a note
msgid ""
msgstr "header\n"

msgid "say "
"\"hi\""
msgstr "sag "
"\"hallo\""

msgid "x"
msgstr ""
"""
    assert parse(text.splitlines()) == {'say "hi"': 'sag "hallo"'}


@pytest.mark.usefixtures("german")
def test_a_sentence_that_was_made_elsewhere_is_said_in_the_language_in_use() -> None:
    assert told("you are not a member of #team") == "du bist nicht in #team"
    assert told("the keys of bob have changed; nothing is sent until you /accept them") == (
        "die Schlüssel von bob haben sich geändert; nichts wird gesendet, bis du sie annimmst (/accept)"
    )
    assert told("#team: a message of yours expired on the server before everybody had read it") == (
        "#team: eine Nachricht von dir ist auf dem Server abgelaufen, ehe alle sie gelesen hatten"
    )


@pytest.mark.usefixtures("german")
def test_a_reason_within_a_sentence_is_said_in_the_language_in_use_too() -> None:
    assert told("data.bin was not sent: cannot read /x: it has no such name") == (
        "data.bin wurde nicht gesendet: /x ist nicht zu lesen: einen solchen Namen gibt es nicht"
    )


@pytest.mark.usefixtures("german")
@pytest.mark.parametrize("name", ["closed", "Monday", "read", "{0}", "{who}", "x: y"])
def test_nobodys_name_is_translated_or_filled_in(name: str) -> None:
    assert told(f"you are not a member of {name}") == f"du bist nicht in {name}"


@pytest.mark.usefixtures("german")
def test_every_sentence_is_read_back_as_what_it_was() -> None:
    """No text of the catalogue is taken for another, whatever names stand in it."""
    wrong = []
    for english, other in load("de").items():
        pattern = pattern_of(english)
        if pattern is None:
            continue
        places = {name: f"name-{number}" for number, name in enumerate(dict.fromkeys(pattern.names))}
        sentence, meant = filled(english, places), filled(other, places)
        if told(sentence) != meant:
            wrong.append((english, told(sentence)))
    assert wrong == []


@pytest.mark.usefixtures("german")
@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("a :.{}0bcdefnot()"), max_size=60))
def test_any_text_can_be_told(text: str) -> None:
    assert isinstance(told(text), str)


@pytest.mark.usefixtures("german")
def test_what_is_longer_than_any_sentence_is_told_as_it_is() -> None:
    text = "you are not a member of " + "x" * MAX_TOLD
    assert told(text) == text


def test_a_text_is_cut_at_its_places_and_put_together_again() -> None:
    pattern = pattern_of("{who} may not remove {whom} ({why})")
    assert pattern is not None
    places = {"who": "bob", "whom": "carol ({x})", "why": "a (b)"}
    sentence = filled("{who} may not remove {whom} ({why})", places)
    found = pattern.read(sentence)
    assert found is not None
    assert filled("{who} may not remove {whom} ({why})", found) == sentence
    assert pattern.read("bob may not remove") is None
    assert pattern.read("bob may not remove carol") is None


def test_a_name_that_stands_twice_is_the_same_both_times() -> None:
    pattern = pattern_of("{user} speaks, {user} does")
    assert pattern is not None
    assert pattern.read("bob speaks, bob does") == {"user": "bob"}
    assert pattern.read("bob speaks, eve does") is None


def test_what_says_too_little_is_not_looked_for() -> None:
    assert pattern_of("{0}: {1}") is None
    assert pattern_of("no places") is None


@pytest.mark.usefixtures("german")
def test_places_are_filled_in_by_name() -> None:
    assert say("you left {name}", name="#team") == "du hast #team verlassen"
