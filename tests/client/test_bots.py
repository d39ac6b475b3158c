"""docs/bots.md is what the code does: its tables here; its bots are run in tests/scenarios/test_bots.py."""

import re
from typing import Final

from tests.client.bots_page import MARK, PAGE, tables

TEXT: Final = PAGE.read_text()
HOLDING, BESIDE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_every_method_event_and_value_is_listed_with_all_its_fields() -> None:
    assert TEXT.partition(MARK)[2] == "\n" + tables(), "python -m tests.client.bots_page writes it anew"


def test_every_row_says_what_it_means() -> None:
    rows = [line for line in tables().splitlines() if line.startswith("| ")]
    assert [row for row in rows if row.endswith("|  |")] == []


def test_the_first_bot_is_short() -> None:
    assert len([line for line in HOLDING.splitlines() if line.strip()]) <= 21
