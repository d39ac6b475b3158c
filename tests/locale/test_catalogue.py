"""One catalogue: every text that is said is in every language, with the same places to fill in."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from securechat.locale.catalogue import ENGLISH, languages, load, parse, tr, use, wanted

ROOT: Final = Path(__file__).resolve().parents[2] / "securechat"
OTHERS: Final = [language for language in languages() if language != ENGLISH]
PLACE: Final = re.compile(r"{\w*}")


def said() -> set[str]:
    """Every text in the code that is translated when it is said."""
    return {text for path in ROOT.rglob("*.py") for text in texts_of(path.read_text())}


def texts_of(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"tr", "mark"}:
            match node.args:
                case [ast.Constant(str(text))]:
                    yield text


@pytest.fixture
def english() -> Iterator[None]:
    yield
    use(ENGLISH)


def test_there_is_a_second_language() -> None:
    assert "de" in OTHERS


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_has_its_words_and_keeps_its_places(language: str) -> None:
    known = load(language)
    assert sorted(said() - known.keys()) == []
    assert [
        one for one, other in known.items() if sorted(PLACE.findall(one)) != sorted(PLACE.findall(other))
    ] == []


def test_the_language_is_the_one_that_the_environment_asks_for() -> None:
    assert wanted({"LANG": "de_DE.UTF-8"}) == "de"
    assert wanted({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}) == ENGLISH
    assert wanted({"LANGUAGE": "de:en", "LANG": "fr_FR"}) == "de"
    assert wanted({"LANG": "xx"}) == wanted({}) == wanted({"LANG": "../../etc"}) == ENGLISH


@pytest.mark.usefixtures("english")
def test_what_a_language_lacks_is_said_in_english() -> None:
    use("de")
    assert tr("Monday") == "Montag"
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
