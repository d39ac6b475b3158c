"""Draw every screen: `python -m tests.tui.tour [NAME...]` writes docs/tour/*.svg, tour.md and snapshots."""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.tui.driving import Driven, driven
from tests.tui.pages import PAGES, Page
from tests.tui.scenes import SCENES, Scene

ROOT: Final = Path(__file__).resolve().parents[2]
PICTURES: Final = ROOT / "docs" / "tour"
SNAPSHOTS: Final = Path(__file__).parent / "snapshots"

INTRODUCTION: Final = """# A tour of the full screen

`securechat chat alice` on a terminal. Every picture here is made by `python -m tests.tui.tour` from the real
screen on a client that is made up; a test compares what is on them with what the code draws. What the keys do
stands in [cli.md](cli.md#the-full-screen); F1 shows it on the screen.
"""

BESIDE: Final = """
## Beside it

What two commands say on a terminal.
"""


@asynccontextmanager
async def played(scene: Scene) -> AsyncIterator[Driven]:
    """Come to a scene. What the client's thread has still to answer may not be on the screen yet."""
    with greenwich():
        async with driven(scene.client(), size=scene.size, settings=scene.settings) as screen:
            await scene.come(screen)
            await screen.pilot.pause()
            yield screen


@contextmanager
def greenwich() -> Iterator[None]:
    """Have this machine's time be that of the pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


async def drawn(scene: Scene) -> tuple[str, str]:
    """Return a scene as text and as a picture."""
    async with played(scene) as screen:
        await screen.pilot.pause(0.5)
        return screen.text(), picture(screen.app.export_screenshot(title="securechat chat alice"))


def picture(svg: str) -> str:
    """An SVG without the addresses of fonts: it shows in the reader's own."""
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def page() -> str:
    """The text of docs/tour.md."""
    screens = "".join(_shown(scene) for scene in SCENES)
    return INTRODUCTION + screens + BESIDE + "".join(_shown(page) for page in PAGES)


def _shown(one: Scene | Page) -> str:
    return f"\n{one.words}\n\n![{one.name}](tour/{one.name}.svg)\n"


async def main(names: list[str]) -> None:
    """Draw these, or all."""
    PICTURES.mkdir(exist_ok=True)
    SNAPSHOTS.mkdir(exist_ok=True)
    for scene in SCENES if not names else [one for one in SCENES if one.name in names]:
        text, svg = await drawn(scene)
        (SNAPSHOTS / f"{scene.name}.txt").write_text(text + "\n", encoding="utf-8")
        (PICTURES / f"{scene.name}.svg").write_text(svg, encoding="utf-8")
        print(f"{scene.name}: {len(svg) // 1024} KiB")
    for one in PAGES:
        (SNAPSHOTS / f"{one.name}.txt").write_text(one.text() + "\n", encoding="utf-8")
        (PICTURES / f"{one.name}.svg").write_text(picture(one.svg()), encoding="utf-8")
    (ROOT / "docs" / "tour.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
