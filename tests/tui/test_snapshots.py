"""What is on each screen, letter by letter. Changed on purpose: `python -m tests.tui.tour`, and look."""

import contextlib
import re

import pytest

from tests.tui.pages import PAGES, Page
from tests.tui.scenes import SCENES, Scene
from tests.tui.tour import PICTURES, ROOT, SNAPSHOTS, page, played


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
async def test_a_screen_looks_as_it_did(scene: Scene) -> None:
    before = (SNAPSHOTS / f"{scene.name}.txt").read_text(encoding="utf-8")
    async with played(scene) as screen:
        with contextlib.suppress(AssertionError):  # said below, with what differs
            await screen.until(lambda: screen.text() + "\n" == before)
        assert screen.text() + "\n" == before


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_says_what_it_did(page: Page) -> None:
    assert page.text() + "\n" == (SNAPSHOTS / f"{page.name}.txt").read_text(encoding="utf-8")


def test_the_tour_shows_every_screen_and_no_other() -> None:
    assert (ROOT / "docs" / "tour.md").read_text(encoding="utf-8") == page()
    assert {path.stem for path in PICTURES.glob("*.svg")} == {one.name for one in (*SCENES, *PAGES)}
    for path in PICTURES.glob("*.svg"):
        addresses = set(re.findall(r"https?://[^ \"]+", path.read_text(encoding="utf-8")))
        assert addresses <= {"http://www.w3.org/2000/svg", "https://www.textualize.io"}
