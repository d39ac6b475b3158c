"""`securechat send`: one message, and the server's word.

Through the account's holder it goes over a plain socket, as JSON: this module imports neither an event
loop nor the client's models, which are more than half of what a one-shot costs.
"""

import sys
from typing import Any, Final, NamedTuple, Protocol

import click

from securechat.cli.home import profile_of
from securechat.cli.options import Account, account_options
from securechat.cli.speech import tell
from securechat.client.asking import Asking, asking
from securechat.client.errors import ClientError, ExitCode, HolderLeft, NoHolder
from securechat.locale.catalogue import say, tr

EXIT_LATER: Final = 75

MAX_STDIN_BYTES: Final = 64 * 1024
"""One message fits; what is longer is refused rather than cut."""

HAND_OVER_SECONDS: Final = 30.0
"""A holder that has not stored a message by then stands still."""

LATE_SECONDS: Final = 5.0
"""How much longer than the wait it was asked for a holder may take to say that it is over."""

IS_SENT: Final = "sent"
"""The state of a message that the server has (`events.MessageState`)."""


class Said(NamedTuple):
    """One message as it was asked for; by its key it is known again, whoever holds the account then."""

    text: str
    key: str
    reply_to: str = ""
    thread: str = ""


class Sent(Protocol):
    """What is said of a message: `events.Message`, or what stands for it here."""

    @property
    def local_id(self) -> int: ...
    @property
    def state(self) -> str: ...


class Reported(NamedTuple):
    """A message as a holder's JSON has it."""

    local_id: int
    state: str
    whole: dict[str, Any]


class NotKnown(ClientError):
    """The holder ended or stopped before it said whether it has stored a message."""

    default_exit_code = ExitCode.RETRY_LATER

    def __init__(self, to: str, key: str) -> None:
        super().__init__(
            "the process that holds the account has ended or stands still, and it is not known whether it has"
            f" stored the message to {to}. Send it again with --id {key}: then it is sent once"
        )


@click.command()
@account_options
@click.argument("to")
@click.argument("text", required=False)
@click.option("--also", multiple=True, metavar="TO", help="One more to send it to; give it several times.")
@click.option(
    "--trust",
    "people",
    type=click.Choice(["first-use", "verified"]),
    default="first-use",
    show_default=True,
    help="With `verified` nothing is sent to whom a person has not verified.",
)
@click.option("--lines", is_flag=True, help="Each line of stdin is a message, sent as it comes.")
@click.option("--id", "key", metavar="KEY", help="Your own name for the message: repeated, it is sent once.")
@click.option(
    "--reply-to", metavar="ID", default="", help="The id of the message it answers, or its beginning."
)
@click.option(
    "--thread", metavar="TOPIC", default="", help="What it belongs to; an answer stays in its topic."
)
@click.option("--timeout", "seconds", type=click.FloatRange(0, 3600), default=30.0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def send(  # noqa: PLR0913, PLR0917 - one parameter per option, as click passes them
    account: Account,
    to: str,
    text: str | None,
    also: tuple[str, ...],
    people: str,
    lines: bool,
    key: str | None,
    reply_to: str,
    thread: str,
    seconds: float,
    as_json: bool,
) -> int:
    """Send TEXT to TO: @user or #room. Ends with 0 once the server has it on disk.

    TEXT that is - or missing is read from stdin. Of several who it is sent to each gets it or is named
    on stderr with the reason; it ends with the code of the first that did not.
    """
    everybody = list(dict.fromkeys((to, *also)))
    for each in everybody:
        if each[:1] not in {"@", "#"}:
            raise click.UsageError(say("{name} is neither @user nor #room", name=repr(each)))
    verified = people == "verified"
    if lines:
        if text is not None or key is not None or reply_to or thread or also:
            raise click.UsageError(
                tr("--lines takes the messages from stdin: no TEXT, --also, --id, --reply-to or --thread")
            )
        import asyncio  # noqa: PLC0415 - one message needs no event loop

        from securechat.cli.sending import send_lines  # noqa: PLC0415 - as above

        return asyncio.run(send_lines(account, to, seconds, as_json=as_json, verified=verified))
    said = Said(_text(text), key if key is not None else own_key(), reply_to, thread)
    if len(everybody) > 1 or verified:
        import asyncio  # noqa: PLC0415 - as above

        from securechat.cli.recipients import send_to_all  # noqa: PLC0415 - as above

        return asyncio.run(send_to_all(account, everybody, said, seconds, as_json=as_json, verified=verified))
    return report(sent(account, to, said, seconds=seconds), as_json=as_json)


def sent(account: Account, to: str, said: Said, *, seconds: float) -> Sent:
    """Send a message; return it as it stands once the server has it, or the wait is over."""
    try:
        return _through_holder(account, to, said, seconds)
    except (NoHolder, HolderLeft) as problem:
        import asyncio  # noqa: PLC0415 - see above

        from securechat.cli.sending import send_again, send_as_holder  # noqa: PLC0415 - as above

        send = send_as_holder if isinstance(problem, NoHolder) else send_again
    return asyncio.run(send(account, to, said, seconds=seconds))


def own_key() -> str:
    import secrets  # noqa: PLC0415 - with its hashes a tenth of the time; who gives a key needs it not

    return secrets.token_hex(16)


def report(message: Sent, *, as_json: bool) -> int:
    """Say what became of a message; return the exit code."""
    is_sent = message.state == IS_SENT
    if as_json:
        print_message(message, kind=IS_SENT if is_sent else "queued")
    if is_sent:
        return 0
    tell(say("queued as {number}; it goes out at the next connection", number=message.local_id))
    return EXIT_LATER


def _through_holder(account: Account, to: str, said: Said, seconds: float) -> Reported:
    """Hand a message over and wait for the server's word.

    :raises HolderLeft: before the holder said whether it has stored the message
    """
    with asking(profile_of(account)) as line:
        stored = _handed(line, account, to, said)
        try:
            wait = {"local_id": stored.local_id, "timeout": seconds}
            return reported(account, line.ask("acknowledged", wait, seconds=seconds + LATE_SECONDS))
        except (TimeoutError, HolderLeft):
            return stored  # it is queued: whoever held the account has stored it


def _handed(line: Asking, account: Account, to: str, said: Said) -> Reported:
    try:
        return reported(account, line.ask("send", {"to": to} | said._asdict(), seconds=HAND_OVER_SECONDS))
    except TimeoutError:
        raise NotKnown(to, said.key) from None


def reported(account: Account, message: Any) -> Reported:  # noqa: ANN401 - JSON
    """Read a message that a holder answered with.

    :raises HolderLeft: it is none of ours
    """
    match message:
        case {"local_id": int(local_id), "state": str(state)}:
            return Reported(local_id, state, message)
        case _:
            raise HolderLeft(account.user)


def print_message(message: Sent, *, kind: str) -> None:
    """Print a message as one line of JSON."""
    import msgspec  # noqa: PLC0415 - see above

    from securechat.cli.json_lines import message_json, print_json  # noqa: PLC0415 - as above
    from securechat.client.events import Message  # noqa: PLC0415 - as above

    whole = message.whole if isinstance(message, Reported) else message
    print_json(message_json(msgspec.convert(whole, Message), kind=kind))
    sys.stdout.flush()


def _text(given: str | None) -> str:
    """The text to send: the argument itself, or all of stdin for ``-`` or none."""
    if given is not None and given != "-":
        return given
    if sys.stdin.isatty():
        tell(tr("type the message, then Ctrl-D"))
    data = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
    if len(data) > MAX_STDIN_BYTES:
        raise click.UsageError(
            say("stdin has more than the {count} bytes of one message", count=MAX_STDIN_BYTES)
        )
    try:
        return data.decode().removesuffix("\n")
    except UnicodeDecodeError as problem:
        raise click.UsageError(tr("stdin is not UTF-8 text; nothing was sent")) from problem
