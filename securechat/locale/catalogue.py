"""The one catalogue of what we say to people: English stands in the code, other languages beside this file.

`tr` is gettext by another name. A language is a ``.po`` file that is read as it lies: nothing has to be
compiled before it works, in a checkout or in a wheel. What a file lacks is said in English.
"""

import ast
import gettext
import os
import re
from collections.abc import Iterable, Mapping
from typing import Final

ENGLISH: Final = "en"

_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_VARIABLES: Final = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""Where a person says it, the first that is set wins (gettext's own order)."""


class Words(gettext.NullTranslations):
    """What one language says for each English text."""

    def __init__(self, said: Mapping[str, str]) -> None:
        super().__init__()
        self._said = said

    def gettext(self, message: str) -> str:
        return self._said.get(message) or message


_words: gettext.NullTranslations = Words({})


def use(language: str) -> None:
    """Speak this language from here on; one that is not here is English."""
    global _words  # noqa: PLW0603 - a process speaks one language
    _words = Words(load(language))


def tr(text: str) -> str:
    """Return what the language in use says for an English text."""
    return _words.gettext(text)


def mark(text: str) -> str:
    """Return the text: it stands in a table, and is translated where it is said."""
    return text


def wanted(environment: Mapping[str, str] = os.environ) -> str:
    """Return the language that the environment asks for; ``en`` for none or one that is not here."""
    for variable in _VARIABLES:
        if value := environment.get(variable, ""):
            found = _LANGUAGE.match(value)
            asked = found[0] if found else ENGLISH
            return asked if asked in languages() else ENGLISH
    return ENGLISH


def languages() -> list[str]:
    """Return the languages there are."""
    from importlib import resources  # noqa: PLC0415 - a tenth of a one-shot's time, and English has no file

    files = (entry.name for entry in resources.files(__package__ or "").iterdir())
    return sorted([ENGLISH, *(name.removesuffix(".po") for name in files if name.endswith(".po"))])


def load(language: str) -> dict[str, str]:
    """Read a language's file: English text to its own. English has none."""
    if language not in languages() or language == ENGLISH:
        return {}
    from importlib import resources  # noqa: PLC0415 - as above

    file = resources.files(__package__ or "").joinpath(f"{language}.po")
    return parse(file.read_text(encoding="utf-8").splitlines())


def parse(lines: Iterable[str]) -> dict[str, str]:
    """Read the ``msgid``/``msgstr`` pairs of a .po file; what has no text yet is left out."""
    said: dict[str, str] = {}
    texts = {"msgid": "", "msgstr": ""}
    field = ""
    for line in [*lines, 'msgid ""']:
        word, _, rest = line.strip().partition(" ")
        if word in texts:
            if word == "msgid" and texts["msgid"] and texts["msgstr"]:
                said[texts["msgid"]] = texts["msgstr"]
            field = word
            texts[field] = _unquoted(rest)
        elif line.startswith('"') and field:
            texts[field] += _unquoted(line.strip())
    return said


def _unquoted(text: str) -> str:
    return str(ast.literal_eval(text))
