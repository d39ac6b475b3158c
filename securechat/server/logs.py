"""One line per record, whatever is in it: what a peer sent can't end a line or move a cursor (G-02).

As text, or as one JSON object. A record that repeats too fast is left out, and how often is said
with the next of its kind (G-03). Errors are also kept for `admin status`.
"""

import json
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

LAYOUT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
TIMES: Final = "%Y-%m-%dT%H:%M:%SZ"

BURST: Final = 200
"""Lines of one kind at once: a server's start, or everybody's return to it."""

PER_SECOND: Final = 10
"""Lines of one kind in the long run: 100 MB a day at most."""

WITH_TRACEBACK: Final = 10
"""Lines that one with a traceback counts as: it is so much longer."""

MAX_LINE: Final = 8 * 1024
"""Letters of a line; of what is longer the middle is left out."""

MAX_KINDS: Final = 500
"""A kind is a text in our code; there are fewer. Those beyond share one place."""

ERRORS_KEPT: Final = 20
MAX_TEXT: Final = 500

Layout = Literal["text", "json"]


class OneLine(logging.Formatter):
    """UTC times; everything that is not printable stands as its escape, a traceback's lines too."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(LAYOUT, TIMES)

    def format(self, record: logging.LogRecord) -> str:
        return shortened(escaped(super().format(record)))


class OneObject(OneLine):
    """A JSON object per line, in ASCII: nothing in it can end the line or move a cursor."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": self.formatTime(record, TIMES),
            "level": record.levelname,
            "logger": record.name,
            "message": shortened(record.getMessage()),
        }
        event = getattr(record, "event", None)
        if event is not None:
            said |= {"event": event, **getattr(record, "fields", {})}
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            said["traceback"] = shortened(record.exc_text)
        return json.dumps(said, default=str).replace("\x7f", "\\u007f")


def escaped(text: str) -> str:
    """The text with controls, separators and direction marks written out."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def shortened(text: str) -> str:
    """The text, or its beginning and its end: a traceback says most in its last line."""
    if len(text) <= MAX_LINE:
        return text
    half = MAX_LINE // 2
    return f"{text[:half]} [{len(text) - 2 * half} left out] {text[-half:]}"


@dataclass(slots=True)
class _Kind:
    """A token bucket, and how many lines it has held back."""

    tokens: float
    at: float
    left_out: int = 0


class Flood(logging.Filter):
    """Holds back what repeats too fast; any thread may log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written. What it says is asked of its text before anything is filled in."""
        with self._lock:
            left_out = self._take((record.name, str(record.msg)), WITH_TRACEBACK if record.exc_info else 1)
        if left_out is None:
            return False
        if left_out:
            record.msg = f"{record.getMessage()} ({left_out} more of this kind were left out)"
            record.args = None
        return True

    def _take(self, key: tuple[str, str], cost: int) -> int | None:
        """How many of a kind were held back before this one; None holds this one back too."""
        if key not in self._kinds and len(self._kinds) >= MAX_KINDS:
            key = ("", "")
        now = self._clock()
        kind = self._kinds.setdefault(key, _Kind(BURST, now))
        kind.tokens = min(BURST, kind.tokens + (now - kind.at) * PER_SECOND)
        kind.at = now
        if kind.tokens < cost:
            kind.left_out += 1
            return None
        kind.tokens -= cost
        left_out, kind.left_out = kind.left_out, 0
        return left_out


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """An error as it was logged, without its traceback."""

    time: int
    source: str
    text: str


class LatestErrors(logging.Handler):
    """Keeps the last errors of the server's loggers."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._lines: deque[ErrorLine] = deque(maxlen=ERRORS_KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        text = escaped(record.getMessage())[:MAX_TEXT]
        self._lines.append(ErrorLine(int(record.created), record.name, text))

    @property
    def lines(self) -> list[ErrorLine]:
        """The newest first."""
        return list(self._lines)[::-1]

    def begin(self) -> None:
        logging.getLogger("securechat.server").addHandler(self)

    def end(self) -> None:
        logging.getLogger("securechat.server").removeHandler(self)


def log_to_stderr(level: int, layout: Layout = "text") -> None:
    """Set up the process's logging; for the command, not for a library's caller."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine() if layout == "text" else OneObject())
    handler.addFilter(Flood())
    logging.basicConfig(level=level, handlers=[handler], force=True)
