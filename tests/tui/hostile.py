"""Strings that mean harm, or only trouble: made from a seed, or drawn by hypothesis."""

import random
import unicodedata
from typing import Final

from hypothesis import strategies as st

PARTS: Final = (
    *(
        "\x1b[2J",
        "\x1b]52;c;aGk=\x07",
        "\x1b]0;title\x07",
        "\x1bP1$r\x1b\\",
        "\x1b_Gi=1\x1b\\",
        "\x9b31m",
        "\x1b[6n",
    ),
    *(
        "\x00",
        "\x07",
        "\x08",
        "\r",
        "\n",
        "\t",
        "\x7f",
        "\x85",
        "\u2028",
        "\ud800",
        "\udfff",
        "\ufeff",
        "\u200b",
    ),
    *("\u202e", "\u202d", "\u2066", "\u2067", "\u2068", "\u2069", "\u200e", "\u200f", "\u061c"),
    *(
        "[bold red]",
        "[/]",
        "[@click=app.quit]x[/]",
        "[link=https://evil]y[/link]",
        "\\[",
        "{",
        "}",
        "$(reboot)",
        "`id`",
    ),
    *(
        "שלום",
        "مرحبا",
        "漢字",
        "カナ",
        "한글",
        "क्षि",
        "ก็",
        "ﷺ",
        "𒐫",
        "🇩🇪",
        "👨\u200d👩\u200d👧",
        "1\ufe0f\u20e3",
        "❤\ufe0f",
    ),
    *("e\u0301", "a" + "\u0301" * 30, "\u0301", "\U000e0041", "\ufe0f", "\u200d", "\u3164", "\u034f"),
    *(
        "plain words",
        "x" * 40,
        " ",
        "  ",
        "https://xn--e1awd7f.example/\u0430",
        "../../.ssh/authorized_keys",
        "* ",
        "── ",
    ),
)


def harm(random_: random.Random) -> str:
    """Return one hostile string."""
    parts = [random_.choice(PARTS) for _ in range(random_.randint(1, 6))]
    if random_.random() < 0.3:
        parts.append(chr(random_.choice([random_.randrange(0x20), random_.randrange(0x110000)])))
    return "".join(parts)


def strings() -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(PARTS) | st.text(max_size=5), max_size=8).map("".join)


def controls(text: str) -> list[str]:
    """Return what a terminal might obey, or what hides: nothing of it may be drawn."""
    allowed = {"\u2068", "\u2069"}
    return [
        repr(c)
        for c in text
        if (unicodedata.category(c) in {"Cc", "Cs"} or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067")
        and c not in allowed
    ]
