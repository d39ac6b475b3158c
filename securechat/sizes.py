"""A number of bytes in words: the same unit wherever one is shown."""

from typing import Final

_STEP: Final = 1024


def size_text(count: int) -> str:
    """Return ``17 B``, ``4.6 KiB``, up to TiB."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < _STEP:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= _STEP
    return f"{amount:.1f} TiB"
