"""Words are found in any script, whatever is typed, and leave the index with what they stood in."""

from collections.abc import Iterator

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client.store import migrate
from securechat.client.words import MAX_WORDS, query_of


@pytest.fixture(scope="module")
def db() -> Iterator[apsw.Connection]:
    db = apsw.Connection(":memory:")
    migrate(db)
    for number in (1, 2):
        db.execute(
            "INSERT INTO conversation (id, name, kind, state, room) VALUES (?, ?, 'room', 'joined', 'r')",
            (number, f"#room-{number}"),
        )
    yield db
    db.close()


def said(db: apsw.Connection, text: str, conversation: int = 1) -> int:
    db.execute(
        "INSERT INTO message (conversation, sender, own, state, content, text, timestamp)"
        " VALUES (?, 'bob', 0, 'received', x'', ?, 1)",
        (conversation, text),
    )
    return db.last_insert_rowid()


def found(db: apsw.Connection, typed: str, conversation: int | None = None) -> list[int]:
    query = query_of(typed, conversation=conversation)
    if query is None:
        return []
    return [
        row[0] for row in db.execute("SELECT rowid FROM message_words WHERE message_words MATCH ?", (query,))
    ]


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("See you at Zürich station", "zurich"),
        ("See you at Zürich station", "station YOU"),
        ("See you at Zürich station", "stat"),
        ("See you at Zürich station", '"at zürich"'),
        ("明日は東京へ行きます", "東京"),
        ("我们在北京见面吧", "北京"),
        ("До встречи в Москве", "москве"),
        ("שלום לכולם", "שלום"),
        ("مرحبا بالعالم", "مرحبا"),
        ("สวัสดีชาวโลก", "สวัสดี"),
        ("한국어로 말하자", "한국어로"),
        ("the cat 🐈 sleeps", "🐈"),
        ("don't panic", "don't"),
        ("version 3.14 of it", "3.14"),
        ("mail alice@example.org now", "alice@example.org"),
    ],
)
def test_what_was_said_is_found_in_any_script(db: apsw.Connection, text: str, typed: str) -> None:
    local_id = said(db, text)

    assert local_id in found(db, typed)
    assert local_id not in found(db, typed, conversation=2)


@pytest.mark.parametrize(
    "typed", ["tation", '"stat"', "zürich rome", '"zürich at"', "", " ", '""', "!?", '"']
)
def test_what_was_not_said_is_not_found(db: apsw.Connection, typed: str) -> None:
    said(db, "See you at Zürich station")

    assert found(db, typed) == []


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from([*'"*():^+-{} \0\ud800a東', "AND", "NEAR", "text:"])).map("".join)
)
def test_nothing_that_is_typed_is_syntax(db: apsw.Connection, typed: str) -> None:
    found(db, typed)
    found(db, typed, conversation=1)


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20))
def test_every_word_of_letters_finds_itself(db: apsw.Connection, word: str) -> None:
    db.execute("SAVEPOINT one")
    local_id = said(db, f"before {word} after")

    assert local_id in found(db, f"{word} ") or not _has_words(db, local_id, word)
    db.execute("ROLLBACK TO one; RELEASE one")


def _has_words(db: apsw.Connection, local_id: int, word: str) -> bool:
    """Some letters are stripped to nothing (modifiers alone): such a word is none."""
    tokens = db.fts5_tokenizer("simplify", ["casefold", "true", "strip", "true", "unicodewords"])
    return bool(list(tokens(word.encode(), apsw.FTS5_TOKENIZE_DOCUMENT, None)))


def test_a_search_takes_a_bounded_number_of_words() -> None:
    query = query_of("word " * 10_000)

    assert query is not None
    assert query.count('"word"') == MAX_WORDS


def terms(db: apsw.Connection) -> set[str]:
    db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.spoken USING fts5vocab(main, message_words, row)")
    return {row[0] for row in db.execute("SELECT term FROM temp.spoken")}


@pytest.mark.parametrize(
    "change", ["DELETE FROM message WHERE id = ?", "UPDATE message SET text = '' WHERE id = ?"]
)
def test_l_04_words_of_what_is_deleted_leave_the_index(db: apsw.Connection, change: str) -> None:
    local_id = said(db, "canaryword in a coalmine")
    assert "canaryword" in terms(db)

    db.execute(change, (local_id,))

    assert found(db, "canaryword") == []
    assert "canaryword" not in terms(db)
    pages = [row[0] for row in db.execute("SELECT block FROM message_words_data")]
    assert not any(b"canaryword" in page or b"coalmine" in page for page in pages)


def test_a_changed_text_is_found_by_its_new_words_only(db: apsw.Connection) -> None:
    local_id = said(db, "firstversion")

    db.execute("UPDATE message SET text = 'secondversion' WHERE id = ?", (local_id,))

    assert found(db, "firstversion") == []
    assert found(db, "secondversion") == [local_id]


def test_the_index_holds_what_the_messages_hold(db: apsw.Connection) -> None:
    said(db, "")
    db.execute("INSERT INTO message_words (message_words, rank) VALUES ('integrity-check', 1)")


def test_messages_of_before_are_found_after_the_migration() -> None:
    from securechat.client import store  # noqa: PLC0415 - its list of files only

    steps = store._migrations()
    number = next(number for number, sql in steps if "message_words" in sql)
    db = apsw.Connection(":memory:")
    migrate(db, steps[: number - 1])
    db.execute(
        "INSERT INTO conversation (id, name, kind, state, room) VALUES (1, '#a', 'room', 'joined', 'r')"
    )
    local_id = said(db, "long ago in 東京")
    migrate(db)

    assert found(db, "東京") == [local_id]
    db.close()
