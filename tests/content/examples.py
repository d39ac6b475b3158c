"""The draft's own examples, where they are: beside the project, never copied into it."""

import os
import re
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[2]


def find_examples() -> list[Path]:
    """Return the ``.cbor`` files of the draft's messages, or nothing."""
    named = os.environ.get("SECURECHAT_VECTORS")
    roots = [Path(named), Path(named).parent] if named else [_PROJECT.parent / "shared"]
    for root in roots:
        found = sorted((root / "mimi-content").glob("*.cbor"))
        if found:
            # What a message implies is an example of another structure.
            return [path for path in found if path.stem != "implied-original"]
    return []


def expected_id(example: Path) -> bytes:
    """Read the message id from the comment in the annotated file beside the example."""
    comment = example.with_suffix(".edn").read_text()
    found = re.search(r"message ID = h'([0-9a-f]+)\s*#?\s*([0-9a-f]+)'", comment, re.IGNORECASE)
    assert found is not None
    return bytes.fromhex(found[1] + found[2])
