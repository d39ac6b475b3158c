"""The command `securechat`: what there is, and how anything that goes wrong ends.

A command's room is imported only when it is called, so that ``--help`` and ``--version`` cost
little more than Python itself. Exit codes are the contract of docs/cli.md: 0 well, 1 something
the caller can mend (usage included), 2 a fault of ours, 3 network or server, 4 a key that is not
trusted or has changed, 5 a rate or quota, 6 not a member or not allowed, 7 cannot decrypt,
8 nothing within the timeout, 69 no server runs here, 75 try again later, 130 interrupted.
"""

import copy
import importlib
import inspect
import io
import os
import sys
from collections.abc import Callable
from keyword import iskeyword
from typing import Any, Final

import click

from securechat.cli.pipes import ReaderGone
from securechat.cli.speech import tell
from securechat.errors import SecureChatError
from securechat.version import __version__

EXIT_USAGE: Final = 1
EXIT_INTERNAL: Final = 2
EXIT_INTERRUPTED: Final = 130

DEBUG_VARIABLE: Final = "SECURECHAT_DEBUG"
"""Set to anything, a fault of ours prints where it happened."""

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "server": ("securechat.cli.server", "Start the server."),
    "register": ("securechat.cli.account", "Make an account and this device's keys."),
    "link": ("securechat.cli.link", "Add this machine to an account that you have elsewhere."),
    "recover": ("securechat.cli.recover", "Bring an account back with its recovery key alone."),
    "reset": ("securechat.cli.reset", "Begin an account anew, with its password and nothing else left."),
    "recovery": ("securechat.cli.recovery", "Make an account another recovery key."),
    "password": ("securechat.cli.password", "Change the password of an account."),
    "chat": ("securechat.cli.chat", "Open the conversation."),
    "agent": ("securechat.cli.agent", "Hold an account without a screen, for all other commands."),
    "send": ("securechat.cli.send", "Send one message and wait for the server's word."),
    "receive": ("securechat.cli.receive", "Print messages that were not printed yet."),
    "listen": ("securechat.cli.listen", "Print everything that happens, as it happens."),
    "file": ("securechat.cli.files", "Send a file."),
    "download": ("securechat.cli.files", "Fetch a file that somebody sent."),
    "picture": ("securechat.cli.pictures", "Draw a picture that somebody sent on the terminal."),
    "rooms": ("securechat.cli.rooms", "List conversations."),
    "do": ("securechat.cli.doing", "Do one command of a chat: poll, vote, close, react, edit and others."),
    "search": ("securechat.cli.finding", "Find what was said."),
    "history": ("securechat.cli.finding", "Print what was said in a conversation."),
    "export": ("securechat.cli.taking_out", "Write a conversation to a file: JSON lines, Markdown or HTML."),
    "import": ("securechat.cli.taking_out", "Take the messages of an exported file back in."),
    "archive": ("securechat.cli.archive", "Keep the history at the server, sealed, for your other devices."),
    "contacts": ("securechat.cli.known", "List whose keys are known here."),
    "verify": ("securechat.cli.verify", "Make sure that somebody is who they seem to be."),
    "devices": ("securechat.cli.devices", "List the devices that read along; let a new one in."),
    "status": ("securechat.cli.known", "Say how the account stands."),
    "why": ("securechat.cli.why", "Say why a conversation is on hold or a message cannot be read."),
    "upgrade": ("securechat.cli.rooms", "Move a conversation to a better cipher suite."),
    "logout": ("securechat.cli.logout", "Take an account off this machine."),
    "witness": ("securechat.cli.witness", "Follow a server's key log, entry by entry, without an account."),
    "admin": ("securechat.cli.admin", "Look after a running server: status, users, invites, backups."),
    "demo": ("securechat.cli.demo", "See the whole thing work, in a temporary folder."),
    "cert": ("securechat.cli.cert", "Make a certificate, or show a fingerprint."),
    "completion": ("securechat.cli.completion", "Print what a shell needs to complete commands."),
    "man": ("securechat.cli.manual", "Write manual pages."),
}
"""Each command: the module that has it under its own name, and one line of help."""


WITHOUT_MODELS: Final = frozenset({"send", "file", "download"})
"""What these do most often, they do without the client's models."""


class LazyGroup(click.Group):
    """A group that knows its commands' names and help, and imports one when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in WITHOUT_MODELS:
            _import_msgspec()
        module, _help = COMMANDS[cmd_name]
        attribute = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{cmd_name} is not a command")
        return _in_language(command)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        english, self.help = self.help, _translated(self.help)
        super().format_help_text(ctx, formatter)
        self.help = english

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - what a command returns
        try:
            return super().invoke(ctx)
        except BrokenPipeError as gone:
            raise ReaderGone from gone

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, _words()(text)) for name, (_module, text) in COMMANDS.items()])


def _import_msgspec() -> None:
    """Import msgspec without `typing_extensions`, which it asks for first: a fifth of a one-shot's time.

    `typing` has all that it wants of it since Python 3.11. Who needs the other one imports it later.
    """
    if "msgspec" in sys.modules or "typing_extensions" in sys.modules:
        return
    blocked: Any = None
    sys.modules["typing_extensions"] = blocked
    try:
        importlib.import_module("msgspec")
    finally:
        del sys.modules["typing_extensions"]


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, message="securechat %(version)s")
def cli() -> None:
    """End-to-end encrypted chat for people who run their own server.

    \b
    securechat server --cert certs/server.pem     start a server
    securechat register alice                     make an account
    securechat chat alice                         talk:  @bob: hello
    """  # noqa: D301 - click's mark is the character itself; raw, it is shown instead


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:  # noqa: PLR0911 - one end per kind of failure
    """Run one command; return its exit code. Every failure is one sentence on stderr."""
    _speak_utf_8()
    _speak()
    try:
        result = cli.main(arguments, prog_name="securechat", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.Abort:
        return EXIT_INTERRUPTED
    except click.ClickException as problem:
        complain(problem.format_message(), hint=_usage_hint(problem))
        return EXIT_USAGE
    except SecureChatError as problem:
        complain(str(problem))
        return int(getattr(problem, "exit_code", EXIT_USAGE))
    except ReaderGone as gone:
        _quiet_pipe()
        return gone.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except UnicodeEncodeError:
        complain("something that was given is not UTF-8 text; nothing was done with it")
        return EXIT_USAGE
    except OSError as problem:
        complain(_of_the_system(problem))
        return EXIT_USAGE
    except Exception as fault:  # noqa: BLE001 - the root: a traceback is not what a person can use
        _confess(fault)
        return EXIT_INTERNAL
    return result if isinstance(result, int) else 0


def _speak() -> None:
    """Say what is said in the language of the environment."""
    from securechat.locale.catalogue import use, wanted  # noqa: PLC0415 - in `run` alone

    use(wanted())


def _words() -> Callable[[str], str]:
    from securechat.locale.catalogue import tr  # noqa: PLC0415 - as above

    return tr


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a help as the catalogue has them: on one line, but for what click leaves alone."""
    found = inspect.cleandoc(text).split("\n\n")
    return [one if one.startswith("\b") else " ".join(one.split()) for one in found]


def _in_language(command: click.Command) -> click.Command:
    """The command, with the help that the catalogue has for it."""
    tr = _words()
    command, parameters = copy.copy(command), [copy.copy(each) for each in command.params]
    command.help, command.params = _translated(command.help), parameters
    for parameter in parameters:
        if isinstance(parameter, click.Option) and parameter.help:
            parameter.help = tr(parameter.help)
    return command


def _translated(text: str | None) -> str:
    tr = _words()
    return "\n\n".join(tr(paragraph) for paragraph in paragraphs(text or ""))


def complain(sentence: str, *, hint: str = "") -> None:
    """Say on stderr what went wrong. Remote text in it has gone through the sanitiser already."""
    from securechat.locale.catalogue import told  # noqa: PLC0415 - as above

    tell(f"securechat: {told(sentence)}")
    if hint:
        tell(hint)


def _usage_hint(problem: click.ClickException) -> str:
    context = getattr(problem, "ctx", None)
    if isinstance(problem, click.UsageError) and context is not None:
        return f"Try: {context.command_path} --help"
    return ""


def _of_the_system(problem: OSError) -> str:
    what = problem.strerror or type(problem).__name__
    return f"{os.fsdecode(problem.filename)!r}: {what}" if problem.filename else f"the system says: {what}"


def _confess(fault: Exception) -> None:
    import logging  # noqa: PLC0415 - only here
    import traceback  # noqa: PLC0415

    if (log := logging.getLogger("securechat")).hasHandlers():  # a process that keeps a log
        log.error("a fault of ours", exc_info=fault)
    elif os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(fault)
    complain(f"a fault of ours ({type(fault).__name__}); {DEBUG_VARIABLE}=1 shows where. Please report it")


def _speak_utf_8() -> None:
    """What we print is UTF-8 wherever we run; what cannot be is escaped, and stops nothing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _quiet_pipe() -> None:
    """The reader of our output has gone (`| head`): end without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
