"""One line per record, whatever is in it: what a peer sent can't end a line or move a cursor (G-02)."""

import logging
import sys
import time
from typing import Final

LAYOUT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"


class OneLine(logging.Formatter):
    """UTC times; everything that is not printable stands as its escape, a traceback's lines too."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(LAYOUT, "%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format(record))


def escaped(text: str) -> str:
    """The text with controls, separators and direction marks written out."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def log_to_stderr(level: int) -> None:
    """Set up the process's logging; for the command, not for a library's caller."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    logging.basicConfig(level=level, handlers=[handler], force=True)
