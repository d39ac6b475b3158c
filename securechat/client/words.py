"""How text becomes words to be found, and what a person types a search for them.

The words are FTS5's, cut by Unicode's rules (UAX 29) and stripped of case and accents by apsw's
tokenizers: a language without spaces is cut into its characters, so that any part of it is found.
The tokenizers belong to a connection, not to the file: whoever writes a message needs them.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import apsw

MAX_WORDS: Final = 32
"""Words of one search; each costs a walk through an index."""

MAX_TYPED: Final = 1024
"""Code points of one search that are looked at."""

_TYPED: Final = re.compile(r'"(?P<phrase>[^"]*)(?P<closed>"?)|(?P<word>[^\s"]+)')


def register_words(db: apsw.Connection) -> None:
    """Teach a connection the tokenizers and the function that the schema names; twice is harmless.

    A connection that has them lives until it is closed: apsw's tokenizers hold it.
    """
    # Their module costs 40 ms to import: only who writes or searches pays for it.
    db.register_fts5_tokenizer("simplify", _later("SimplifyTokenizer"))
    db.register_fts5_tokenizer("unicodewords", _later("UnicodeWordsTokenizer"))
    # Innocuous: it computes and touches nothing; what is not may stand in no trigger.
    db.create_scalar_function(
        "poll_answers", _poll_answers, 2, deterministic=True, flags=apsw.SQLITE_INNOCUOUS
    )


def query_of(typed: str, *, conversation: int | None = None) -> str | None:
    """Return the FTS5 query for what a person typed; None if there is nothing to look for.

    All words must be there, in any order; words in double quotes as they stand. The last one may be
    the beginning of a word. Nothing that is typed is syntax.
    """
    terms: list[str] = []
    text = typed[:MAX_TYPED].replace("\0", " ").encode("utf-8", "replace").decode()
    for found in _TYPED.finditer(text):
        word = found["word"] if found["word"] is not None else found["phrase"]
        if any(c.isalnum() or not c.isascii() for c in word):
            open_end = found.end() == len(text) and not found["closed"]
            terms.append(f'"{word}"*' if open_end else f'"{word}"')
    if not terms:
        return None
    words = f"text : ({' '.join(terms[:MAX_WORDS])})"
    return words if conversation is None else f'{words} AND conversation : "{conversation:d}"'


def _poll_answers(*stored: Any) -> str:  # noqa: ANN401 - SQLite's
    """Return the options of a stored poll, one a line; empty of what is none.

    :param stored: the content, and whether it was imported
    """
    content, imported = stored
    # With what reads content it is large, and opening a store needs none of it.
    from securechat.client.rows import options_of  # noqa: PLC0415 - see above

    return "\n".join(options_of(content, imported=bool(imported)))


def _later(name: str) -> Callable[[apsw.Connection, list[str]], Any]:
    def tokenizer(db: apsw.Connection, arguments: list[str]) -> Any:  # noqa: ANN401 - apsw's
        import apsw.fts5  # noqa: PLC0415 - see above

        return getattr(apsw.fts5, name)(db, arguments)

    return tokenizer
