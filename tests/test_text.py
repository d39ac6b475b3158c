"""U-01, U-02, U-03 at their floor: nothing that comes out of the sanitiser can act."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from securechat import text as text_module
from securechat.text import MAX_LINE, MAX_MARKS, MOST_PER_SHOWN, escape, sanitise

ODD = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7E, 0xA1)),
    *"\xad\u034f\u061c\u115f\u180b\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202e\u2060\u2066\u2068\u2069",
    *"\u3164\ufe00\ufe0f\ufeff\ufff9\ufffe\ud800\udfff\U000e0001\U000e0061\U000e007f\U000e0100\U0010ffff\ue000",
    *"a1#*\u0301\u05d0\u0627\u06dd\u094d\u0915\u0e01\u4e00\U0001f600\U0001f3f4\U0001f468\U0001f3fd\u25cc…",
]
texts = st.one_of(
    st.text(st.sampled_from(ODD), max_size=40),
    st.text(st.one_of(st.sampled_from(ODD), st.characters()), max_size=40),
    st.text(st.characters(categories=None), max_size=40),
)
ISOLATES = "\u2068\u2069"


def controls_in(text: str) -> list[str]:
    return [c for c in text if unicodedata.category(c) in {"Cc", "Cs", "Co", "Zl", "Zp"}]


@settings(max_examples=500)
@given(texts)
@example("\x1b]0;title\x07\x9b31m\x7f")
def test_u_01_nothing_that_comes_out_is_a_control(text: str) -> None:
    assert controls_in(sanitise(text)) == []
    assert set(controls_in(sanitise(text, multiline=True))) <= {"\n"}


@settings(max_examples=500)
@given(text=texts, multiline=st.booleans(), limit=st.integers(0, 50))
@example(text="\u094d\u200d\u0915", multiline=False, limit=50)
@example(text="\U0001f3f4\U000e0067\U000e0062\U000e007f", multiline=False, limit=3)
@example(text="\u2068\u05d0\u2069", multiline=True, limit=50)
def test_cleaning_twice_is_cleaning_once(*, text: str, multiline: bool, limit: int) -> None:
    once = sanitise(text, multiline=multiline, limit=limit)
    assert sanitise(once, multiline=multiline, limit=limit) == once


@settings(max_examples=500)
@given(texts, st.integers(0, 50))
def test_the_length_is_bounded(text: str, limit: int) -> None:
    assert len(sanitise(text, limit=limit).strip(ISOLATES)) <= limit


@settings(max_examples=500)
@given(texts)
def test_u_03_directions_stay_inside_a_line(text: str) -> None:
    for line in sanitise(text, multiline=True).split("\n"):
        inside = line[1:-1] if line.startswith("\u2068") else line
        assert not any(
            c in inside for c in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
        )
        if any(unicodedata.bidirectional(c) in {"R", "AL", "AN"} for c in line):
            assert (line[0], line[-1]) == ("\u2068", "\u2069")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb", "a\\nb"),
        ("a\tb", "a    b"),
        ("\x9b\x7f", "\\x9b\\x7f"),
        ("\ud83d", "\\ud83d"),
        ("photo\u202egnp.exe", "photo\\u202egnp.exe"),
        ("alice\u200b", "alice\\u200b"),
        ("a\u2028b", "a\\u2028b"),
        ("x\U000e0041", "x\\U000e0041"),
        ("\ue0b0", "\\ue0b0"),
        ("\u3164", "\\u3164"),
        ("a\u034fb", "a\\u034fb"),
        ("\ufffe\U0001ffff", "\\ufffe\\U0001ffff"),
        ("x\u2069", "x\\u2069"),
        ("\u2068x", "\\u2068x"),
        ("\U0001f468\u200d", "\U0001f468\\u200d"),
        ("\u200d\U0001f468", "\\u200d\U0001f468"),
        ("\U0001f468\u200c\U0001f468", "\U0001f468\\u200c\U0001f468"),
        ("a\u200d\U0001f468", "a\\u200d\U0001f468"),
        ("\U0001f468\u200da", "\U0001f468\\u200da"),
        ("e\u0301\u200db", "e\u0301\\u200db"),
        ("a\ufe0f", "a\\ufe0f"),
        ("\u845b\ufe0f\ufe0f", "\u845b\ufe0f\\ufe0f"),
        ("a\U000e0100", "a\\U000e0100"),
        ("[b]*_http://xn--e1afmkfd.example_*[/b]", "[b]*_http://xn--e1afmkfd.example_*[/b]"),
    ],
)
def test_what_could_act_is_spelled_out(text: str, shown: str) -> None:
    assert sanitise(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Grüße, 你好, สวัสดี",
        "\U0001f469\U0001f3fd\u200d\u2695\ufe0f",  # health worker, of MIMI content's reaction section
        "1\ufe0f\u20e3 \u2764\ufe0f",
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland
        "\u0915\u094d\u200d\u0937",  # Devanagari with a joiner after the virama
        "\u845b\U000e0100",  # an ideograph with its variant
        "e\u0301\u0323",
        "\u845b\ufe00",
        "\u2764\ufe0f\u200d\U0001f525",
    ],
)
def test_what_scripts_and_emoji_need_is_kept(text: str) -> None:
    assert sanitise(text) == text


def test_a_joiner_between_arabic_letters_is_kept_and_the_line_isolated() -> None:
    assert sanitise("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645") == (
        "\u2068\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645\u2069"
    )


def test_a_joiner_beside_another_script_is_spelled_out() -> None:
    assert sanitise("\u0645\u200ca") == "\u2068\u0645\\u200ca\u2069"
    assert sanitise("a\u200c\u0645") == "\u2068a\\u200c\u0645\u2069"


def test_a_sign_that_encloses_a_number_is_kept() -> None:
    assert sanitise("\u060012") == "\u2068\u060012\u2069"


def test_joiners_do_not_smuggle_marks() -> None:
    shown = sanitise("\u0915" + "\u094d\u200d" * 20 + "\u0937")
    assert shown.startswith("\u0915" + "\u094d\u200d" * MAX_MARKS + "\ufffd\\u200d")


def test_a_text_of_exactly_the_limit_is_whole() -> None:
    assert sanitise("é" * 10, limit=10) == "é" * 10


def test_u_01_a_hundred_thousand_marks_are_a_handful() -> None:
    handful = "e" + "\u0301" * MAX_MARKS + "\ufffd"
    assert sanitise("e" + "\u0301" * 1_000 + "f") == handful + "f"
    assert sanitise("e" + "\u0301" * 100_000 + "f") == handful + "…"


def test_o_02_of_a_text_far_too_long_only_the_beginning_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    honest = text_module._visible

    def visible(line: str) -> str:
        looked.append(len(line))
        return honest(line)

    monkeypatch.setattr(text_module, "_visible", visible)
    assert sanitise("\u202e" * 60_000).endswith("…")
    assert sum(looked) <= MOST_PER_SHOWN * MAX_LINE + 1


def test_a_long_line_that_was_isolated_is_cut_without_a_trace_of_it() -> None:
    once = sanitise("\u05d0" * 60_000, limit=60_000)
    assert sanitise(once, limit=10) == "\u2068" + "\u05d0" * 9 + "…\u2069"


def test_a_mark_does_not_sit_on_what_stands_before_the_field() -> None:
    assert sanitise("\u0301x") == "\u25cc\u0301x"


def test_several_lines_are_kept_when_asked_and_each_is_isolated() -> None:
    assert sanitise("a\r\n\u05d0\n", multiline=True) == "a\n\u2068\u05d0\u2069\n"


def test_a_long_text_is_cut_visibly() -> None:
    assert sanitise("x" * 20, limit=10) == "x" * 9 + "…"


def test_an_escape_is_ascii() -> None:
    assert [escape(c) for c in "\n\x80\u202e\U000e0041"] == ["\\n", "\\x80", "\\u202e", "\\U000e0041"]


@pytest.mark.parametrize("part", ["\U0001f43b", "\U0001f43b\U0001f3fd", "\u2764\ufe0f", "\u00a9", "\u0628"])
def test_no_more_is_joined_into_one_character_than_an_emoji_needs(part: str) -> None:
    """U-03: a terminal that joins nothing would draw a long chain over what stands beside it."""
    chain = sanitise("\u200d".join([part] * 6)).strip("\u2068\u2069")
    assert chain == "\u200d".join([part] * 4) + "\\u200d" + "\u200d".join([part] * 2)
    assert sanitise(chain).strip("\u2068\u2069") == chain


def test_joined_characters_side_by_side_are_each_their_own() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
    couple = "\U0001f469\U0001f3fb\u200d\u2764\ufe0f\u200d\U0001f48b\u200d\U0001f468\U0001f3fb"
    for text in (family * 3, couple * 3, f"{family} {family}", f"{family}x{family}"):
        assert sanitise(text) == text
