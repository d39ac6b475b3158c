"""One unit for a number of bytes, wherever it is shown."""

import pytest

from securechat.sizes import size_text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (4700, "4.6 KiB"),
        (1 << 30, "1.0 GiB"),
        (1 << 50, "1024.0 TiB"),
    ],
)
def test_a_number_of_bytes_is_short(count: int, text: str) -> None:
    assert size_text(count) == text
