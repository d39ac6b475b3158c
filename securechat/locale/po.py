"""Languages as they lie beside this file: ``.po`` files, read by what of the format we write."""

from collections.abc import Iterable
from importlib import resources

import msgspec


def languages() -> list[str]:
    """Return the languages there are beside English, which stands in the code."""
    files = (entry.name for entry in resources.files(__package__ or "").iterdir())
    return sorted(name.removesuffix(".po") for name in files if name.endswith(".po"))


def load(language: str) -> dict[str, str]:
    """Read a language's file: English text to its own. One that is not here has none."""
    if language not in languages():
        return {}
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
    return msgspec.json.decode(text, type=str)  # our quotes and escapes are those of JSON
