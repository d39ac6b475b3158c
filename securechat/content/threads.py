"""Topics as people see them: a name for each topic id (section "Topics / Threading").

A topic id is any bytes up to 4096. One that is a short, harmless text is its own name; any other is
called by a digest, so that no two topics have one name and none can act on a screen.
"""

import hashlib
from typing import Final

from securechat.text import sanitise

MAX_NAME: Final = 64
"""Characters of a topic that is shown as it is."""

_DIGEST: Final = "topic-"


def topic_name(topic_id: bytes) -> str:
    """Return the name of a topic; empty for the main thread."""
    try:
        text = topic_id.decode()
    except UnicodeDecodeError:
        text = ""
    if not topic_id or is_topic_name(text):
        return text
    return _DIGEST + hashlib.sha256(topic_id).hexdigest()[:16]


def is_topic_name(text: str) -> bool:
    """Whether a new topic can be called so."""
    plain = 1 <= len(text) <= MAX_NAME and text == text.strip() and sanitise(text, limit=MAX_NAME) == text
    return plain and not text.startswith(_DIGEST)
