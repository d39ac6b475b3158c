"""Every screen there is, as a person would meet it: for the snapshots, and for the pictures of the tour."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast

from msgspec import structs

from securechat.cli.screen import Commands
from securechat.client.events import (
    Contact,
    FileInfo,
    Identity,
    Invited,
    Kind,
    Member,
    Message,
    MessageKind,
    MessageReceived,
    MessageState,
    OwnDevice,
    Poll,
    PollOption,
    Reaction,
    Standing,
    Typing,
)
from securechat.client.face import own_face
from securechat.pictures import small_png
from securechat.pictures.pixels import Pixels
from securechat.pictures.terminal import Drawing
from securechat.tui.backend import Backend, Tell
from securechat.tui.picture_view import PictureView
from securechat.tui.settings import Settings
from tests.tui.driving import Driven
from tests.tui.fake import DAY, NOON, FakeClient, conversation, message


@dataclass(frozen=True)
class Scene:
    """A screen: how to come to it, and what the tour says of it."""

    name: str
    words: str
    come: Callable[[Driven], Awaitable[Any]]
    size: tuple[int, int] = (100, 30)
    settings: Settings = field(default_factory=Settings)
    client: Callable[[], FakeClient] = field(default_factory=lambda: garden)


def in_the_room(local_id: int, sender: str, text: str, **more: Any) -> Message:
    return message(local_id, text, sender=sender, conversation="#garden", **more)


def garden() -> FakeClient:
    """People who plan a garden: everything that a conversation can hold."""
    client = FakeClient()
    people = (
        Member("alice", "member", 2, listed=2),
        Member("bob", "owner", 1, Identity.VERIFIED, 1),
        Member("carol", "admin", 3, Identity.KNOWN, 3),
        Member("dan", "member", 1, Identity.KNOWN, 1),
    )
    client.rooms["#garden"] = structs.replace(
        conversation(
            "#garden", topic="seeds, tools, Saturdays", last="@dan: on my way", last_time=NOON + 9000
        ),
        members=people,
        epoch=17,
    )
    client.rooms["@bob"] = conversation(
        "@bob", last="see you there", last_time=NOON + 8000, unread=3, verified=True, epoch=4
    )
    client.rooms["@carol"] = conversation("@carol", last="ok", last_time=NOON + 7000, draft="about the shed")
    client.rooms["#news"] = conversation(
        "#news",
        last="@erin: closed on Monday",
        last_time=NOON + 10,
        kind=Kind.ANNOUNCEMENT,
        unread=1,
        mentions=1,
    )
    client.rooms["@mallory"] = conversation(
        "@mallory",
        state=Standing.HELD,
        held_code="identity_changed",
        held_text="the keys of mallory have changed; nothing is sent until you /accept them",
        last="hello?",
        last_time=NOON - 500,
    )
    client.said["#garden"] = [
        in_the_room(1, "bob", "The seeds are here.", timestamp=NOON - DAY),
        in_the_room(2, "carol", "Great! Who brings the spade?", reactions=(Reaction("👋", ("dan", "bob")),)),
        in_the_room(3, "alice", "I do", read_by=("bob", "carol"), reply_to=f"{2:064x}", edited=NOON),
        in_the_room(4, "bob", "@alice thank you!\nAnd bring gloves: the nettles are back.", mentions_me=True),
        in_the_room(
            5,
            "carol",
            "",
            kind=MessageKind.POLL,
            poll=Poll(
                "Which day?",
                (PollOption("Saturday", ("alice", "bob", "dan")), PollOption("Sunday", ("carol",))),
            ),
        ),
        in_the_room(
            6,
            "dan",
            "(a file: beds.pdf, 2.2 MiB)\nthe plan",
            kind=MessageKind.FILE,
            file=FileInfo(name="beds.pdf", content_type="application/pdf", size=2_340_000),
        ),
        in_the_room(
            7, "dan", "", state=MessageState.UNREADABLE, code="generation_used", kind=MessageKind.UNREADABLE
        ),
        in_the_room(8, "bob", "", deleted=True),
        in_the_room(9, "carol", "שבת שלום · 週末に会いましょう · 👩‍🌾🌱", timestamp=NOON + 600),
        in_the_room(10, "alice", "Saturday then", timestamp=NOON + 700, delivered_to=("bob", "carol")),
        in_the_room(11, "alice", "at ten", timestamp=NOON + 720),
        in_the_room(12, "dan", "on my way", timestamp=NOON + 900),
        in_the_room(13, "alice", "the gate is open", timestamp=NOON + 960, state=MessageState.QUEUED),
    ]
    client.said["@bob"] = [
        message(20 + at, text, timestamp=NOON + 7000 + 60 * at)
        for at, text in enumerate(("are you there?", "the gate is stuck", "see you there"))
    ]
    client.said["@mallory"] = [
        message(40, "hello?", sender="mallory", conversation="@mallory", verified="changed")
    ]
    client.marked = [client.said["#garden"][3]]
    return client


async def begin(screen: Driven) -> None:
    await screen.sees("the gate is open")


async def types(screen: Driven) -> None:
    await begin(screen)
    await screen.happen(Typing("#garden", "carol", on=True))
    await screen.press("alt+k", "alt+k", "alt+r")
    await screen.type("bring the :seed")
    await screen.sees("answering")


def a_photograph(scale: int = 1) -> Pixels:
    """One that nobody took: sky, sun, a hill, beds."""

    def colour(x: int, y: int) -> tuple[int, int, int]:
        if (x - 36 * scale) ** 2 + (y - 7 * scale) ** 2 < 16 * scale**2:
            return (255, 214, 90)
        if y < 14 * scale + (x - 20 * scale) ** 2 // (90 * scale):
            step = y // (2 * scale)
            return (90 + 5 * step, 150 + 4 * step, 235)
        is_bed = y > 20 * scale and (x + y // 3) % (12 * scale) < 5 * scale
        return (120, 84, 56) if is_bed else (66, 140 - 10 * (y // scale % 3), 62)

    width, height = 48 * scale, 32 * scale
    pixels = b"".join(bytes(colour(x, y)) for y in range(height) for x in range(width))
    return Pixels(width, height, pixels)


async def pictured(screen: Driven) -> None:
    await begin(screen)
    file = FileInfo(
        name="beds.jpg",
        content_type="image/jpeg",
        size=1_840_000,
        state="offered",
        thumbnail=small_png.write(a_photograph()),
    )
    await screen.happen(
        MessageReceived(
            in_the_room(
                14,
                "dan",
                "(a file: beds.jpg, 1.8 MiB)\nfrom the gate",
                kind=MessageKind.FILE,
                timestamp=NOON + 1000,
                file=file,
            )
        )
    )
    await screen.sees("from the gate")


async def looked_at(screen: Driven) -> None:
    await begin(screen)
    screen.app.push_screen(PictureView("beds.jpg", a_photograph(2), Drawing(), screen.chat.write))
    await screen.sees("beds.jpg")


async def unread(screen: Driven) -> None:
    await begin(screen)
    await screen.press("alt+a", "alt+a")
    await screen.sees("── new")
    await screen.until(lambda: screen.chat.talk.conversation.unread == 0)  # type: ignore[union-attr]


async def held(screen: Driven) -> None:
    await begin(screen)
    screen.chat.go("@mallory")
    await screen.sees("hello?")
    await screen.happen(Invited("#shed", "erin"))
    await screen.sees("@erin invites you")


async def switcher(screen: Driven) -> None:
    await begin(screen)
    await screen.press("ctrl+p")
    await screen.type("r")
    await screen.sees("> #garden")


async def search(screen: Driven) -> None:
    await begin(screen)
    await screen.press("ctrl+s")
    await screen.type("gate")
    await screen.sees("the gate is stuck")


async def help_(screen: Driven) -> None:
    await begin(screen)
    await screen.press("f1")
    await screen.sees("Writing")


class WithCommands(FakeClient):
    """One whose commands are those of a chat by lines, as on the real screen."""

    def commanded(self, client: Any, tell: Tell) -> Any:
        return Commands("alice", cast(Backend, own_face(client)), tell)

    def contact(self, user: str) -> Contact:
        number = " ".join(f"{7919 * (at + 3) % 100000:05}" for at in range(12))
        return Contact(
            user=user.removeprefix("@"),
            verified=False,
            changed=False,
            since=NOON - 9 * DAY,
            safety_number=number,
            conversations=("@bob",),
            code="SECURECHAT:1:ALICE:BOB:" + number.replace(" ", "")[:48],
        )

    def own_devices(self) -> list[OwnDevice]:
        return [
            OwnDevice(
                device="desk".ljust(26, "k"), name="desk", this=True, since=NOON - 90 * DAY, seen=NOON - DAY
            ),
            OwnDevice(
                device="phon".ljust(26, "e"), name="phone", this=False, since=NOON - 9 * DAY, seen=NOON - DAY
            ),
            OwnDevice(
                device="oldl".ljust(26, "x"),
                name="",
                this=False,
                since=NOON - 400 * DAY,
                seen=NOON - 60 * DAY,
                idle=True,
            ),
        ]


def garden_with_commands() -> FakeClient:
    client, has = WithCommands(), garden()
    client.rooms, client.said = has.rooms, has.said
    return client


async def nobody(screen: Driven) -> None:
    await screen.sees("/create #garden")


async def verify(screen: Driven) -> None:
    await begin(screen)
    await screen.type("/verify @bob")
    await screen.press("enter")
    await screen.sees("▀▀▀▀▀▀▀▀")


async def devices(screen: Driven) -> None:
    await begin(screen)
    await screen.type("/devices list")
    await screen.press("enter")
    await screen.sees("45 days")


async def letting_in(screen: Driven) -> None:
    await begin(screen)
    await screen.type("/devices approve 7K3Q-9FXA")
    await screen.press("enter")
    await screen.sees("laptop asks")


async def bare(screen: Driven) -> None:
    await begin(screen)
    await screen.press("alt+l")
    await screen.until(lambda: "connected" not in screen.text())


async def leave(screen: Driven) -> None:
    await begin(screen)
    await screen.press("ctrl+c")
    await screen.sees("Leave")


async def lock(screen: Driven) -> None:
    await begin(screen)
    await screen.press("f6")
    await screen.sees("is locked")


SCENES: Final = (
    Scene(
        "chat",
        "A room: who is there on the right, what was said in the middle, all conversations left.",
        begin,
        (110, 44),
    ),
    Scene("small", "The same at 80x24: the panels fold away, F2 and F3 bring them back.", begin, (80, 24)),
    Scene("large", "The same at 160x50.", begin, (160, 50)),
    Scene(
        "answer",
        "A message is chosen with Alt+K; Alt+R answers it. The row above the draft says to whom it goes.",
        types,
    ),
    Scene(
        "picture",
        "A picture and its thumbnail, which came inside the message; Alt+I fetches it and shows it large.",
        pictured,
        (100, 30),
        Settings(pictures="blocks"),
    ),
    Scene("looked", "The same, looked at.", looked_at, (100, 34)),
    Scene("unread", "Alt+A goes to what is new; a line says where it begins.", unread),
    Scene("held", "Keys that changed: nothing goes out, and the title says what to do.", held),
    Scene("switcher", "Ctrl+K: a few letters of a name.", switcher),
    Scene("search", "Ctrl+S or /search: all that was ever said.", search),
    Scene("help", "F1.", help_),
    Scene("bare", "Alt+L: messages and nothing beside them, for the mouse.", bare),
    Scene(
        "verify",
        "/verify @bob: the number to compare, and the code to scan.",
        verify,
        (100, 44),
        client=garden_with_commands,
    ),
    Scene("devices", "/devices list: one's own.", devices, client=garden_with_commands),
    Scene("approve", "/devices approve CODE lets in a new one; so it asks.", letting_in),
    Scene("first", "What somebody sees who is new.", nobody, (80, 24), client=FakeClient),
    Scene("leave", "Ctrl+C asks first.", leave),
    Scene(
        "locked", "F6, or a while without a key: the account is closed, nothing is left on the screen.", lock
    ),
    Scene("light", "The light theme (F4).", begin, (100, 30), Settings(theme="light")),
    Scene("contrast", "High contrast (F4 again).", begin, (100, 30), Settings(theme="contrast")),
)
