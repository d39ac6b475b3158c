"""From a command to the full screen: the account is opened first, the terminal is taken after that."""

from collections.abc import Callable
from pathlib import Path

from securechat.client.events import Event
from securechat.folders import config_folder
from securechat.locale.catalogue import use, wanted
from securechat.tui.backend import Commanded, Opened
from securechat.tui.bridge import Bridge
from securechat.tui.settings import load


def run(
    opened: Opened,
    commanded: Commanded,
    words: Callable[[Event], str | None],
    *,
    user: str,
    password: str,
    profile: Path,
) -> int:
    """Run until the person leaves; return the exit code.

    :raises SecureChatError: the account stays shut, or a file of settings is not understood
    """
    chosen = load([config_folder("securechat"), profile])
    use(wanted())
    bridge = Bridge(opened, commanded, password)
    bridge.start()  # the password is stretched while Textual is imported
    from securechat.tui.app import ChatApp  # noqa: PLC0415 - see above
    from securechat.tui.keys import learn_alt_keys  # noqa: PLC0415

    try:
        learn_alt_keys()
        bridge.wait_ready()
        app = ChatApp(
            bridge, chosen, user=user, profile=profile, opened=opened, commanded=commanded, words=words
        )
        code = app.run(mouse=chosen.settings.mouse)
        bridge = app.bridge
        if app.failure is not None:
            raise app.failure
    finally:
        bridge.close_now()
    return code or 0
