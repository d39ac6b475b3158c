"""What a person reads is in their language; what a program reads is the same in every one."""

from collections.abc import Iterator

import msgspec
import pytest

from securechat.cli.changes import changed_text
from securechat.cli.json_lines import event_json
from securechat.cli.main import run
from securechat.cli.show import conversation_text, event_text, explanation_text, members_text, message_text
from securechat.client.events import (
    Disconnected,
    Event,
    Explanation,
    Held,
    Invited,
    MembersChanged,
    MessageKind,
    MessageRefused,
    MessageState,
    Notice,
    Standing,
    Undecryptable,
)
from securechat.client.reasons import REASONS, reason
from securechat.client.sentences import HOLDS, unreadable
from securechat.locale.catalogue import ENGLISH, use
from tests.cli.test_show import message
from tests.tui.fake import conversation


@pytest.fixture(autouse=True)
def german() -> Iterator[None]:
    use("de")
    yield
    use(ENGLISH)


KEYS = HOLDS["identity_changed"].format(who="bob")


def test_events_are_told_in_the_language_of_who_reads_them() -> None:
    said = msgspec.structs.replace(message("hallo"), own=True)
    back = "you are back in #team; what was said since the change could not be read here"
    said_in: dict[Event, str] = {
        Held("@bob", "identity_changed", KEYS): (
            "@bob ist angehalten: die Schlüssel von bob haben sich geändert; nichts wird gesendet, bis du"
            " sie annimmst (/accept) (identity_changed)"
        ),
        Notice("rejoined", back): (
            "du bist wieder in #team; was seit der Änderung gesagt wurde, konnte hier nicht gelesen werden"
            " (rejoined)"
        ),
        Disconnected("nothing answers in time", 3.0): (
            "nicht verbunden: nichts antwortet rechtzeitig; es wird versucht, bis es wieder geht"
        ),
        Invited("#team", "bob"): "@bob lädt dich nach #team ein; /join #team tritt ein",
        MembersChanged("#team", "bob", ("carol",), ("bob",)): (
            "#team: @bob hat @carol dazugeholt; @bob ist gegangen"
        ),
        MessageRefused(said, "not_member", "you left #team"): (
            "nicht an @bob gesendet: du hast #team verlassen (es lautete: 'hallo')"
        ),
        Undecryptable("#team", "", 3, "aead"): (
            "#team: eine Nachricht von jemand ist nicht zu entschlüsseln (Epoche 3, aead)"
        ),
    }
    assert {event: event_text(event) for event in said_in} == {
        event: f"* {text}" for event, text in said_in.items()
    }


def test_what_a_program_reads_is_the_same_in_every_language() -> None:
    told = event_json(Held("@bob", "identity_changed", KEYS))
    assert told == {"type": "held", "room": "@bob", "code": "identity_changed", "text": KEYS}


@pytest.mark.parametrize("code", REASONS)
def test_why_is_explained_in_the_language_of_who_asks(code: str) -> None:
    why = Explanation(
        conversation="#team",
        state=Standing.HELD,
        epoch=3,
        code=code,
        text=reason(code).sentence,
        advice=reason(code).advice,
        since=0,
        troubles=(),
    )
    head, advice = explanation_text(why).split("\n")
    assert head.startswith("#team ist angehalten: ")
    assert reason(code).sentence not in head
    assert advice.startswith("  was zu tun ist: ")
    assert reason(code).advice not in advice


def test_what_people_said_is_nobodys_to_translate() -> None:
    for text in ("closed", "you left #team", "(withdrawn)"):
        assert message_text(message(text)).endswith(f"@bob: {text}")


def test_what_stands_in_the_place_of_a_message_is() -> None:
    lost = msgspec.structs.replace(
        message(unreadable("no_secrets")), state=MessageState.UNREADABLE, code="no_secrets"
    )
    assert message_text(lost).endswith(
        "@bob: (nicht zu lesen: die Schlüssel jener Epoche gingen verloren) (Epoche 1, no_secrets)"
    )
    file = msgspec.structs.replace(message("(a file: a.txt, 1 B)\nyou left #x"), kind=MessageKind.FILE)
    assert message_text(file).endswith("@bob: (eine Datei: a.txt, 1 B)\n      | you left #x")
    gone = changed_text(message("x"), msgspec.structs.replace(message(""), deleted=True))
    assert gone is not None
    assert gone.endswith(", ist zurückgezogen")


def test_lists_are_in_the_language_of_who_asks() -> None:
    room = conversation("#team", "alice", "bob", state=Standing.HELD)
    assert conversation_text(room) == "#team [angehalten]: Raum von @alice, @bob"
    assert conversation_text(msgspec.structs.replace(room, unread=3)).startswith(
        "#team [angehalten] (3 neu): "
    )
    assert members_text(room) == "#team: @alice (Mitglied, 1 Gerät), @bob (Mitglied, 1 Gerät, bekannt)"


def test_a_command_fails_in_the_language_of_its_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LANGUAGE", "de")
    assert run(["send", "alice", "bob", "hi"]) == 1
    assert "'bob' ist weder @name noch #raum" in capsys.readouterr().err
    assert run(["rooms", "--help"]) == 0
    assert "Unterhaltungen auflisten." in capsys.readouterr().out
