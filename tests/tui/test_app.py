"""How the screen begins and ends."""

import subprocess
import sys

import pytest
from textual.worker import WorkerFailed

from securechat.locale import catalogue
from tests.tui.driving import driven
from tests.tui.fake import talk_of_two


async def test_a_mistake_of_ours_ends_the_screen_and_prints_no_values() -> None:
    """U-06, G-01: Textual's own traceback would show what the variables hold."""
    ended = driven(talk_of_two())
    screen = await ended.__aenter__()
    await screen.sees("message 6")

    async def broken() -> None:
        secret = "canary"
        raise ZeroDivisionError(len(secret))

    screen.chat.run(broken())
    await screen.until(lambda: screen.app.failure)
    assert screen.app._exit_renderables == []
    with pytest.raises(WorkerFailed):
        await ended.__aexit__(None, None, None)


async def test_it_speaks_another_language() -> None:
    catalogue.use("de")
    try:
        async with driven(talk_of_two(), size=(120, 24)) as screen:
            await screen.sees("● verbunden | ✓ geprüft | 2 von 2 Geräten | Epoche 3")
            await screen.sees("── Freitag 2026-11-20")
            await screen.press("ctrl+c")
            await screen.sees("securechat verlassen?")
            await screen.press("n")
    finally:
        catalogue.use(catalogue.ENGLISH)


@pytest.mark.parametrize("arguments", [["--help"], ["chat", "--help"], ["send", "--help"]])
def test_what_needs_no_screen_does_not_wait_for_one(arguments: list[str]) -> None:
    code = (
        "import sys; from securechat.cli.main import run; run(sys.argv[1:]);"
        "sys.exit(3 if 'textual' in sys.modules or 'rich' in sys.modules else 0)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code, *arguments], check=False, capture_output=True).returncode
        == 0
    )
