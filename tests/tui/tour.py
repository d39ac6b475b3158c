"""Draw every screen: `python -m tests.tui.tour` writes docs/tour/*.svg, docs/tour.md and the snapshots."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.tui.driving import Driven, driven
from tests.tui.scenes import SCENES, Scene, garden

ROOT: Final = Path(__file__).resolve().parents[2]
PICTURES: Final = ROOT / "docs" / "tour"
SNAPSHOTS: Final = Path(__file__).parent / "snapshots"

INTRODUCTION: Final = """# A tour of the full screen

`securechat chat alice` on a terminal. Every picture here is made by `python -m tests.tui.tour` from the real
screen on a client that is made up; a test compares what is on them with what the code draws. What the keys do
stands in [cli.md](cli.md#the-full-screen); F1 shows it on the screen.
"""


@asynccontextmanager
async def played(scene: Scene) -> AsyncIterator[Driven]:
    """Come to a scene. What the client's thread has still to answer may not be on the screen yet."""
    async with driven(garden(), size=scene.size, settings=scene.settings) as screen:
        await scene.come(screen)
        await screen.pilot.pause()
        yield screen


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
    parts = [f"\n{scene.words}\n\n![{scene.name}](tour/{scene.name}.svg)\n" for scene in SCENES]
    return INTRODUCTION + "".join(parts)


async def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    SNAPSHOTS.mkdir(exist_ok=True)
    for scene in SCENES:
        text, svg = await drawn(scene)
        (SNAPSHOTS / f"{scene.name}.txt").write_text(text + "\n", encoding="utf-8")
        (PICTURES / f"{scene.name}.svg").write_text(svg, encoding="utf-8")
        print(f"{scene.name}: {len(svg) // 1024} KiB")
    (ROOT / "docs" / "tour.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
