"""What can go wrong on the client's side, each with the exit code a command ends with.

SecureChatError
└── ClientError
    ├── BadAddress, BadServerName            what was typed is no server
    ├── NoProfile, ProfileExists             there is no such account here, or it is here already
    ├── Unfinished                           a registration without its answer, begun otherwise
    ├── WrongPassword                        the profile stays shut; nothing was changed
    ├── LinkOver                             a request to link a device came to nothing: exit 6
    │   ├── LinkExpired                      in its time: exit 8
    │   └── LinkUntrusted                    what came for the device is not its account's: exit 4
    ├── ProfileBusy                          another process owns the profile: exit 75
    ├── UnsafeFile                           a link, or somebody else's file, where ours should be
    ├── StoreError
    │   ├── StoreDamaged                     bytes on disk are not what was written
    │   ├── StoreFailed                      the disk is full, read-only or broken
    │   └── StoreTooNew                      written by a newer securechat
    ├── ServerUntrusted, ServerChanged       exit 4: not a byte of a credential was sent
    ├── IdentityChanged, UntrustedKeys       exit 4: a contact's keys are not those we knew
    │   ├── NotTheSame                       a number or code that was compared is another
    │   ├── GhostDevice                      or of a device that their account does not list
    │   └── SuiteWithheld                    or older ones than their devices have
    ├── SuiteForbidden                       exit 6: a device lacks the conversation's cipher suite
    ├── CannotUpgrade                        exit 6: a conversation stays in its cipher suite
    │   └── KeysMissing                      a device has left no keys for the better one
    ├── Unreachable, Disconnected, Garbled   exit 3: the network
    ├── ServerOlder                          exit 3: it came back from an older copy
    ├── Replaced                             a newer connection of this very client took over
    ├── RefusedByServer                      a definite no, by its code
    │   ├── UnknownUser
    │   ├── NameTaken
    │   └── Forbidden                        exit 6
    ├── UnknownConversation, UnknownMessage  no such conversation, no such message here
    ├── KeyUsed                              one name for messages to two conversations
    ├── NotAMember                           not in it: exit 6
    ├── NoFile                               a message has none, or none that we can open
    ├── NoTransfer, FileCancelled            no file of this number is on its way; one was stopped
    ├── FileRefused                          a file that is not sent, or not saved
    │   ├── FileChanged                      while it was sent
    │   └── FileDamaged                      what came is not what was sent: nothing was saved
    ├── HolderRefused, HolderLeft            the process that holds the profile said no, or ended
    ├── HolderFull                           exit 5: too many front ends follow it
    └── NoHolder                             nobody holds the profile, and no password was given

The codes are those of docs/cli.md: 1 what the user can mend, 2 ours, 3 network or server,
4 untrusted or changed key, 5 rate or quota, 6 not a member or forbidden, 7 cannot decrypt,
8 timeout, 75 try again later. Names say what happened, hence no suffix "Error" on each.
"""

from enum import IntEnum
from typing import ClassVar, Final

from securechat.errors import SecureChatError
from securechat.text import sanitise


class ExitCode(IntEnum):
    """How a command ends; the numbers are a promise to scripts."""

    OK = 0
    USAGE = 1
    INTERNAL = 2
    NETWORK = 3
    UNTRUSTED = 4
    QUOTA = 5
    FORBIDDEN = 6
    UNDECRYPTABLE = 7
    TIMEOUT = 8
    RETRY_LATER = 75


class ClientError(SecureChatError):
    """Anything the client raises knowingly; its text is one sentence for a person."""

    default_exit_code: ClassVar[ExitCode] = ExitCode.USAGE

    @property
    def exit_code(self) -> int:
        """What a command that meets this error ends with."""
        return self.default_exit_code


# --- what was typed, and the profile -------------------------------------------------------------


class BadAddress(ClientError):
    """What was given is not host:port."""


class NoProfile(ClientError):
    def __init__(self, user: str) -> None:
        super().__init__(
            f"there is no account {user} in this folder; make one with: securechat register {user}"
        )
        self.user = user


class ProfileExists(ClientError):
    def __init__(self, user: str) -> None:
        super().__init__(
            f"the account {user} is in this folder already "
            "(if its registration was interrupted, it goes on with its own password)"
        )
        self.user = user


class Unfinished(ClientError):
    """An earlier registration waits for its answer, and this one does not fit it."""


class WrongPassword(ClientError):
    def __init__(self, user: str) -> None:
        super().__init__(f"the password of {user} is wrong")
        self.user = user


class LinkOver(ClientError):
    """A request to link a device came to nothing; the text says why. Nothing is left of it."""

    default_exit_code = ExitCode.FORBIDDEN


class LinkExpired(LinkOver):
    default_exit_code = ExitCode.TIMEOUT


class LinkUntrusted(LinkOver):
    """Somebody between the two devices, or the server, plays a part that is not theirs (D-05)."""

    default_exit_code = ExitCode.UNTRUSTED


class ProfileBusy(ClientError):
    """One process owns a profile for its life (rules: one owner per account on a machine)."""

    default_exit_code = ExitCode.RETRY_LATER

    def __init__(self, user: str, holder_pid: int | None) -> None:
        holder = f"process {holder_pid}" if holder_pid else "another process"
        super().__init__(f"{user} is in use by {holder}")
        self.user = user
        self.holder_pid = holder_pid


class UnsafeFile(ClientError):
    """A symbolic link, a foreign owner or open permissions where a private file should be (L-01)."""


class StoreError(ClientError):
    default_exit_code = ExitCode.INTERNAL


class StoreDamaged(StoreError):
    """Checksums or seals do not hold: nothing of it is believed (C-05)."""


class StoreFailed(StoreError):
    """The disk did not do what was asked; nothing was acknowledged (C-04)."""


class StoreTooNew(StoreError):
    """The schema is of a later release; an older one would only break it."""

    default_exit_code = ExitCode.USAGE


# --- the server ----------------------------------------------------------------------------------


class ServerUntrusted(ClientError):
    """Nothing says that this is the server we mean. ``fingerprint`` is None if it never came so far."""

    default_exit_code = ExitCode.UNTRUSTED

    def __init__(self, text: str, *, fingerprint: str | None = None) -> None:
        super().__init__(text)
        self.fingerprint = fingerprint


class ServerChanged(ClientError):
    """The pinned identity key is not the one that was shown: a hard stop (T-05)."""

    default_exit_code = ExitCode.UNTRUSTED

    def __init__(self, text: str, *, old: str, new: str) -> None:
        super().__init__(text)
        self.old = old
        self.new = new


class Unreachable(ClientError):
    """No connection came about, or what answered does not speak our protocol."""

    default_exit_code = ExitCode.NETWORK


class Disconnected(ClientError):
    """The connection went while something was under way; whether it was done is not known."""

    default_exit_code = ExitCode.NETWORK


class Garbled(Disconnected):
    """What came breaks the rules of the wire: the next connection will hardly bring better at once."""


class ServerOlder(ClientError):
    """It has forgotten what it had promised: what is queued waits until its place is found again."""

    default_exit_code = ExitCode.NETWORK


class Replaced(ClientError):
    """Another connection of this client took over; reconnecting would only fight it."""

    default_exit_code = ExitCode.RETRY_LATER


_REFUSAL_EXIT: Final[dict[str, ExitCode]] = {
    "name_taken": ExitCode.USAGE,
    "name_refused": ExitCode.USAGE,
    "unknown_user": ExitCode.USAGE,
    "registration_closed": ExitCode.FORBIDDEN,
    "invite_needed": ExitCode.FORBIDDEN,
    "forbidden": ExitCode.FORBIDDEN,
    "not_member": ExitCode.FORBIDDEN,
    "no_group": ExitCode.FORBIDDEN,
    "refused_commit": ExitCode.FORBIDDEN,
    "wrong_credentials": ExitCode.USAGE,
    "quota": ExitCode.QUOTA,
    "busy": ExitCode.RETRY_LATER,
    "limited": ExitCode.RETRY_LATER,
}
"""Everything else a server may refuse is a matter of network and server: 3."""


class RefusedByServer(ClientError):
    """A refusal as it came: ``code`` is a word of REFUSALS from an honest server; both are safe to show."""

    def __init__(
        self, code: str, text: str = "", *, head: int = 0, detail: bytes = b"", retry_after: int = 0
    ) -> None:
        from securechat.protocol.messages import REFUSALS  # noqa: PLC0415 - what only forwards needs no wire

        said = sanitise(text) or REFUSALS.get(code, f"the server refused: {sanitise(code)}")
        super().__init__(f"{said} (in {retry_after} seconds)" if retry_after and code == "limited" else said)
        self.code = sanitise(code)
        self.head = head
        self.detail = detail
        self.retry_after = retry_after

    @property
    def exit_code(self) -> int:
        return _REFUSAL_EXIT.get(self.code, ExitCode.NETWORK)


class UnknownUser(RefusedByServer):
    pass


class NameTaken(RefusedByServer):
    pass


class Forbidden(RefusedByServer):
    @property
    def exit_code(self) -> int:
        """As of any refusal; our own no, before anything was sent, is no matter of the network."""
        if self.code == "bad_request":
            return ExitCode.USAGE
        return _REFUSAL_EXIT.get(self.code, ExitCode.FORBIDDEN)


_REFUSAL_CLASSES: Final[dict[str, type[RefusedByServer]]] = {
    "unknown_user": UnknownUser,
    "name_taken": NameTaken,
    "forbidden": Forbidden,
    "registration_closed": Forbidden,
    "invite_needed": Forbidden,
}


def refusal(
    code: str, text: str = "", *, head: int = 0, detail: bytes = b"", retry_after: int = 0
) -> RefusedByServer:
    """Return the error that stands for a refusal of the wire."""
    kind = _REFUSAL_CLASSES.get(code, RefusedByServer)
    return kind(code, text, head=head, detail=detail, retry_after=retry_after)


# --- people and conversations --------------------------------------------------------------------


class UnknownConversation(ClientError):
    def __init__(self, name: str) -> None:
        super().__init__(f"there is no conversation {name} here")
        self.name = name


class UnknownMessage(ClientError):
    def __init__(self, named: str, *, several: bool = False) -> None:
        super().__init__(
            f"several messages begin with {named}: give more of it"
            if several
            else f"there is no message {named}"
        )


class KeyUsed(ClientError):
    """The caller's own name for a message is that of one in another conversation; nothing was stored."""

    def __init__(self, conversation: str) -> None:
        super().__init__(f"a message to {conversation} has this key already; give each its own")
        self.conversation = conversation


class NotAMember(ClientError):
    default_exit_code = ExitCode.FORBIDDEN

    def __init__(self, name: str) -> None:
        super().__init__(f"you are not a member of {name}")
        self.name = name


class IdentityChanged(ClientError):
    """A contact's account key is not the one we pinned; nothing is sent until the user settles it (D-04)."""

    default_exit_code = ExitCode.UNTRUSTED
    code: ClassVar[str] = "identity_changed"

    def __init__(self, user: str) -> None:
        super().__init__(
            f"the keys of {user} have changed; nothing is sent to {user} until you have checked them"
        )
        self.user = user


class NotTheSame(IdentityChanged):
    """What was compared outside the chat is not what is known here; nothing was believed."""

    def __init__(self, user: str, text: str) -> None:
        super().__init__(user)
        self.args = (text,)


class UntrustedKeys(ClientError):
    """Keys that the account did not sign, or that break a rule of the room (D-03)."""

    default_exit_code = ExitCode.UNTRUSTED
    code: ClassVar[str] = "untrusted_keys"


class GhostDevice(UntrustedKeys):
    """A device that its account does not list, or lists no more (D-03)."""

    code = "ghost_device"


class SuiteWithheld(UntrustedKeys):
    """A device's certificate lists a cipher suite, and the server hands out keys of another one only."""

    code = "suite_withheld"

    def __init__(self, user: str, suite: str) -> None:
        super().__init__(f"a device of {user} has keys for {suite}, but the server hands out others")


class SuiteForbidden(ClientError):
    """A device's certificate does not list the cipher suite it would be added in."""

    default_exit_code = ExitCode.FORBIDDEN
    code: ClassVar[str] = "suite_forbidden"

    def __init__(self, user: str, client: str, suite: str) -> None:
        super().__init__(
            f"{user} cannot come in: the certificate of their device {client[:8]} does not list "
            f"the cipher suite {suite}; an older securechat made it"
        )


class CannotUpgrade(ClientError):
    """A conversation stays in the cipher suite that it is in; the text says why, and by whose device."""

    default_exit_code = ExitCode.FORBIDDEN
    code: ClassVar[str] = "cannot_upgrade"


class KeysMissing(CannotUpgrade):
    """The server has no key package of a device that would have to come along."""

    code = "keys_missing"

    def __init__(self, user: str, client: str, suite: str) -> None:
        super().__init__(
            f"the server has no keys for {suite} of {user}'s device {client[:8]}; "
            "it leaves some when it is next online"
        )


# --- files ---------------------------------------------------------------------------------------


class NoFile(ClientError):
    """A message has no file, or none that we can open."""


class NoTransfer(ClientError):
    def __init__(self, number: int) -> None:
        super().__init__(f"no file of the number {number} is on its way")
        self.number = number


class FileCancelled(ClientError):
    """A person stopped a file on its way."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was stopped on its way")
        self.name = name


class FileRefused(ClientError):
    """A file that is not sent or not saved; the text says why."""


class FileChanged(FileRefused):
    """A file is not what it was when its sending began."""


class FileDamaged(FileRefused):
    """What the server has is not what was sent, or too little or too much of it: nothing was saved."""

    default_exit_code = ExitCode.UNDECRYPTABLE


# --- the process that holds the profile ----------------------------------------------------------


class NoHolder(ClientError):
    """Nobody serves this profile's socket."""

    def __init__(self, user: str) -> None:
        super().__init__(f"no running securechat holds {user}, so the password is needed")
        self.user = user


class HolderLeft(ClientError):
    """The process that served us ended; another may take its place."""

    default_exit_code = ExitCode.RETRY_LATER

    def __init__(self, user: str) -> None:
        super().__init__(f"the process that holds {user} has ended")
        self.user = user


class HolderFull(ClientError):
    """As many front ends as may be are told events already."""

    default_exit_code = ExitCode.QUOTA

    def __init__(self) -> None:
        super().__init__("too many front ends follow this account already; end one of them")


class HolderRefused(ClientError):
    """What the holder answered, with the exit code it gave."""

    def __init__(self, text: str, exit_code: int, *, kind: str = "") -> None:
        super().__init__(sanitise(text))
        self._exit_code = exit_code
        self.kind = sanitise(kind)
        """The name of the error there; empty if it has none."""

    @property
    def exit_code(self) -> int:
        return self._exit_code
