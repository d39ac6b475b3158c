"""Hostile strings drawn at 1 to 20 columns, and on a real terminal.

    python -m tests.tui.fuzz --minutes 10 --seed 7

Prints what it drew, and ends with 1 and the seed of what went wrong.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from rich.cells import cell_len

from securechat.client.events import Kind
from securechat.tui.message_lines import Place, Setting, message_lines, note_lines
from securechat.tui.paint import fitted, plain
from securechat.tui.wrap import clean_block, cut, rows
from tests.cli.terminal import Terminal
from tests.tui.hostile import controls, harm
from tests.tui.sequences import strange
from tests.tui.test_hostile import PLACES, hostile_message

NARROWEST, WIDEST = 1, 20
PAGES = 400
"""Keys pressed to see a history from its end to its start, at most."""


def draw(seed: int) -> None:
    """Draw one hostile string in every way, at a width of its own; raises AssertionError."""
    made = random.Random(seed)
    evil, width = harm(made), made.randint(NARROWEST, WIDEST)
    for row in rows(clean_block(evil), width):
        assert cell_len(row) <= width, (seed, width, row)
        assert controls(row) == [], (seed, width, row)
    assert cell_len(cut(clean_block(evil).split("\n", maxsplit=1)[0], width)) <= width, (seed, width)
    message = hostile_message(made.choice(list(PLACES)), evil)
    place = Place(day=True, unread=made.random() < 0.5, chosen=made.random() < 0.5, answers="@bob: x")
    drawn = message_lines(message, place, Setting(width=width, kind=Kind.ROOM, others=3))
    for one in (*drawn, *note_lines(evil, width)):
        shown = plain(fitted(one, width))
        assert cell_len(shown) <= width, (seed, width, shown)
        assert controls(shown) == [], (seed, width, shown)


def on_a_terminal(seed: int, count: int) -> int:
    """Show a history full of hostile strings on a real terminal, all of it; return the bytes it took."""
    environment = {**os.environ, "LANG": "C.UTF-8", "LANGUAGE": "en"}
    with tempfile.TemporaryDirectory() as folder:
        terminal = Terminal(
            [str(seed), str(count)],
            environment | {"XDG_CONFIG_HOME": folder, "PYTHONPATH": str(Path(__file__).parents[2])},
            Path(folder),
            module="tests.tui.hostile_screen",
        )
        try:
            terminal.wait(lambda lines: any("connected" in one for one in lines))
            for _ in range(PAGES):
                before = terminal.lines()
                terminal.type("\x1b[5~")
                terminal.rest()
                if terminal.lines() == before:
                    break
            assert strange(terminal.raw) == [], (seed, strange(terminal.raw)[:5])
            return len(terminal.raw)
        finally:
            terminal.close()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=1.0)
    options.add_argument("--seed", type=int, default=int(time.time()))
    given = options.parse_args()
    end, drawn = time.monotonic() + given.minutes * 60, 0
    print(f"seed {given.seed}")
    print(
        f"a terminal took {on_a_terminal(given.seed, 2000)} bytes of 2,000 hostile strings, all of them ours"
    )
    while time.monotonic() < end:
        draw(given.seed * 1_000_003 + drawn)
        drawn += 1
    print(f"{drawn} drawn at {NARROWEST} to {WIDEST} columns")
    return 0


if __name__ == "__main__":
    sys.exit(main())
