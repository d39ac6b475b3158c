"""U-01, U-03: the short form of `python -m tests.tui.fuzz`."""

from tests.tui.fuzz import draw, on_a_terminal


def test_hostile_strings_are_drawn_within_1_to_20_columns() -> None:
    for seed in range(1500):
        draw(seed)


def test_a_history_of_hostile_strings_on_a_real_terminal_sends_only_sequences_of_ours() -> None:
    assert on_a_terminal(5, 60) > 1000
