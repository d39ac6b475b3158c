"""Secrets are planted, everything is logged, and nothing of it is told (G-01).

One evening of two people, with a wrong password, a wrong invite and mistakes of ours in the middle
of things; then the log in both its layouts, tracebacks included, the metrics, every answer of the
administration and the repr of everything that lives in the process are searched for what nobody
may read: passwords, tokens, private keys, secrets of MLS, plaintext, and who talks with whom.
"""

import asyncio
import contextlib
import gc
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from securechat.client.client import Client
from securechat.client.errors import ClientError
from securechat.client.events import Invited
from securechat.client.registration import Wishes, register
from securechat.client.trust import Trust
from securechat.membership.invite import new_invite
from securechat.protocol.messages import SendMessage
from securechat.server.app import App, running
from securechat.server.config import ServerConfig
from securechat.server.logs import OneLine, OneObject
from securechat.server.services import Quick
from tests.scenarios.canaries import ours, reprs_by_class, secrets_in, told
from tests.scenarios.world import PATIENCE, Person, World
from tests.server.test_admin import EXAMPLES, ask
from tests.server.test_http import GET, asked

TRUST: Final = Trust(accept_new=True)


class Ears(logging.Handler):
    """Hears every logger at every level, and keeps a line of each layout."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._layouts = (OneLine(), OneObject())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [layout.format(record) for layout in self._layouts]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class Evening:
    """A server and two people; what was said about them, and what must not have been."""

    def __init__(self, folder: Path, ears: Ears) -> None:
        self.world = World(folder)
        self.ears = ears
        self.token = ""
        self.wrong_token = new_invite().token
        self.answers = ""
        self.secrets: set[bytes] = set()
        self.reprs: dict[str, str] = {}
        self.before = ours()
        """What other tests of this process have left: it holds no secret of this evening, and others'."""
        self.names: list[str] = []
        """Of groups and devices: what would tell who talks with whom."""

    @property
    def planted(self) -> list[str]:
        passwords = [person.password for person in self.world.people.values()]
        tokens = [token.replace("-", "") for token in (self.token, self.wrong_token)]
        return ["canary", self.token, self.wrong_token, *tokens, *passwords]

    async def pass_by(self, patch: pytest.MonkeyPatch) -> None:
        config = ServerConfig(
            data=self.world.folder / "server", host="127.0.0.1", port=0, registration="invite", http_port=0
        )
        async with running(config) as app:
            self.world.port = app.port
            self.token = (await ask(app, "invite", uses=2, note="canary-note"))["token"]
            alicia, robert = [await self._enter(name) for name in ("alicia", "robert")]
            await self._talk(alicia, robert)
            await self._fail(alicia, robert, app, patch)
            others = set(map(id, self.before))
            instances = [each for each in ours() if id(each) not in others]
            self.secrets = secrets_in(instances)
            self.reprs = reprs_by_class(instances)
            self.names = await app._readers.run(_names)
            await self._look(app)
            for person in (alicia, robert):
                with contextlib.suppress(ClientError):
                    await person.close()

    async def _enter(self, name: str) -> Person:
        person = self.world.people[name] = Person(self.world, name)
        details = (person.home, person.address, name, person.password, TRUST)
        with pytest.raises(ClientError):
            await register(*details, wishes=Wishes(self.wrong_token))
        await register(*details, wishes=Wishes(self.token))
        await person.open()
        return person

    async def _talk(self, alicia: Person, robert: Person) -> None:
        await alicia.says("@robert", "canary-text-4711")
        await robert.hears("canary-text-4711")
        await alicia.client.create_room("#canary-room", topic="canary-topic")
        await alicia.client.invite("#canary-room", "robert")
        await robert.sees(Invited)
        await robert.client.join("#canary-room")
        await robert.says("#canary-room", "canary-in-room")
        await alicia.hears("canary-in-room")

    async def _fail(self, alicia: Person, robert: Person, app: App, patch: pytest.MonkeyPatch) -> None:
        """A wrong password, and mistakes of ours where a message and its keys are at hand."""
        with pytest.raises(ClientError):
            await Client.open(alicia.home, "robert", "canary-wrong-password", trust=TRUST)

        def broken(*_: Any) -> Any:
            raise ZeroDivisionError("made up")

        with patch.context() as place:
            place.setitem(app.services.named, SendMessage, Quick(broken))
            await alicia.client.send("@robert", "canary-held-back")
            await self._until(lambda: "writing a request failed" in self.ears.text)
        await robert.hears("canary-held-back")
        with patch.context() as place:
            place.setattr("securechat.client.incoming.said", broken)
            await alicia.says("@robert", "canary-not-shown")
            await self._until(lambda: "a background task failed" in self.ears.text)

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():  # noqa: ASYNC110 - what a log says has no event
                await asyncio.sleep(0.01)

    async def _look(self, app: App) -> None:
        """Everything the server tells its owner."""
        for method, params in EXAMPLES.items():
            if method == "backup":
                params = {"file": str(self.world.folder / "copy.db")}  # noqa: PLW2901 - a place of its own
            elif "user" in params:
                params = params | {"user": "alicia"}  # noqa: PLW2901
            elif method == "invite":
                continue  # made above, and shown once
            self.answers += str(await ask(app, method, **params))
        for path in ("/metrics", "/healthz"):
            self.answers += (await asked(app, GET.format(path)))[1]


def _names(db: Any) -> list[str]:
    groups = [group.hex() for (group,) in db.execute("SELECT group_id FROM conversation")]
    return groups + [str(name) for (name,) in db.execute("SELECT name FROM client")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def evening(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Evening]:
    gc.collect()  # what other tests left is not to be told of here
    ears, root = Ears(), logging.getLogger()
    before = root.level
    root.addHandler(ears)
    root.setLevel(logging.DEBUG)
    evening = Evening(tmp_path_factory.mktemp("evening"), ears)
    try:
        with pytest.MonkeyPatch.context() as patch:
            await evening.pass_by(patch)
        yield evening
    finally:
        root.removeHandler(ears)
        root.setLevel(before)


async def test_g_01_there_is_something_to_be_told(evening: Evening) -> None:
    assert len(evening.secrets) > 20
    assert len(evening.ears.lines) > 30
    assert "Traceback" in evening.ears.text
    assert "alicia" in evening.ears.text
    assert len(evening.reprs) > 60
    assert evening.answers.count("{") > 10


async def test_g_01_nothing_planted_is_logged(evening: Evening) -> None:
    assert [canary for canary in evening.planted if canary in evening.ears.text] == []


async def test_g_01_no_secret_is_logged(evening: Evening) -> None:
    assert told(evening.ears.text, evening.secrets) == []


async def test_g_01_the_log_does_not_say_who_talks_with_whom(evening: Evening) -> None:
    server = [line for line in evening.ears.lines if "securechat.server" in line]
    assert [line for line in server if "alicia" in line and "robert" in line] == []
    assert [name for name in evening.names if name in "\n".join(server)] == []


async def test_g_01_the_owner_is_told_no_secret(evening: Evening) -> None:
    said = evening.answers.replace("canary-note", "")  # what the owner wrote is the owner's
    assert [canary for canary in evening.planted if canary in said] == []
    assert told(said, evening.secrets) == []
    assert [name for name in evening.names if name in said] == []


async def test_g_01_nothing_says_a_secret_of_itself(evening: Evening) -> None:
    loud = {name: told(text, evening.secrets) for name, text in evening.reprs.items()}
    found = {name: spelled for name, spelled in loud.items() if spelled}
    assert found == {}, found


async def test_g_01_nothing_says_what_was_planted_of_itself(evening: Evening) -> None:
    """What a person reads is the one exception: messages and rooms, on their own machine."""
    readable = ("securechat.client.", "securechat.content.", "tests.")
    loud = {
        name: [canary for canary in evening.planted if canary in text] for name, text in evening.reprs.items()
    }
    for name, canaries in loud.items():
        allowed = {"canary"} if name.startswith(readable) else set()
        assert set(canaries) <= allowed, name


def test_a_secret_is_found_however_it_is_spelled() -> None:
    secret = bytes(range(1, 33))
    for text in (
        f"key={secret!r}",
        f"key {secret.hex()}",
        f"x{b64encode(secret).decode()}",
        str(list(secret)),
    ):
        assert told(text, [secret])
    assert told("the token is 0a1b-2c3d-4e5f-6a7b", [b"0a1b-2c3d-4e5f-6a7b"])
    assert told("nothing of it", [secret]) == []
