"""The client's end of a connection: which frame may come when, without socket or clock.

The order is a table (``NEXT_STATE``), and so is which answer belongs to which request
(``ANSWER_TO``): an answer of another kind, a second one, or one to a question that was not
asked ends the connection. Requests beyond the server's limit wait here and go out as answers
come in, so that a caller never has to count.
"""

from collections import deque
from typing import Final, assert_never

from msgspec import Raw, Struct

from securechat.protocol.connection import Closed, Connection, State
from securechat.protocol.errors import LocalProtocolError, RemoteProtocolError
from securechat.protocol.frames import (
    decode_answer,
    decode_request,
    decode_server_frame,
    encode_frame,
    encode_value,
)
from securechat.protocol.limits import MAX_FRAME, MAX_IN_FLIGHT, MAX_IN_FLIGHT_BEFORE_LOGIN, PROTOCOL_VERSION
from securechat.protocol.messages import (
    BEFORE,
    CHANGING,
    PUBLIC,
    Account,
    AccountChanged,
    Acknowledge,
    Acknowledged,
    Answer,
    AnswerLink,
    Appended,
    AuditLog,
    Box,
    ChangeAccount,
    ChangedAccounts,
    Chunk,
    ClaimedKeyPackages,
    ClaimKeyPackages,
    ClientHello,
    CloseLink,
    CommitGroup,
    CountKeyPackages,
    CreateGroup,
    DeleteFile,
    Delivered,
    Devices,
    Done,
    Entries,
    Entry,
    ExtendLog,
    Fetch,
    FetchInbox,
    FilePiece,
    FileStored,
    FinishLink,
    GetAccount,
    GetBlob,
    GetBox,
    GetChangedAccounts,
    GetDevices,
    GetFile,
    GetGroupInfo,
    GetLink,
    GetLinks,
    GetStatements,
    GetTree,
    GetTreeHead,
    GetVault,
    Goodbye,
    InboxDelivered,
    InboxEntries,
    InboxEntry,
    KeyPackageCount,
    Links,
    LinksChanged,
    LinkStanding,
    LogExtension,
    LoggedIn,
    LogIn,
    LogInForRecovery,
    LogInWithPassword,
    LogSearched,
    LogStanding,
    LogSteps,
    MonitorLog,
    OfferCommit,
    OfferStatements,
    OpenLink,
    PasswordParameters,
    PasswordSalt,
    Ping,
    Propose,
    PublishKeyPackages,
    PutBox,
    PutChunk,
    PutFile,
    Refused,
    Register,
    Request,
    RequestBody,
    ResetAccount,
    Response,
    RevealLink,
    SealedVault,
    SearchLog,
    SendMessage,
    ServerFrame,
    ServerHello,
    Statements,
    StoredGroupInfo,
    Sync,
    Synced,
    TreeHeadOffered,
    Uploaded,
)

NEXT_STATE: Final[dict[tuple[State, type[ServerFrame]], State]] = {
    (State.GREETING, ServerHello): State.STRANGER,
    (State.GREETING, Goodbye): State.CLOSED,
    (State.STRANGER, Response): State.STRANGER,
    (State.STRANGER, Refused): State.STRANGER,
    (State.STRANGER, Goodbye): State.CLOSED,
    (State.LOGGED_IN, Response): State.LOGGED_IN,
    (State.LOGGED_IN, Refused): State.LOGGED_IN,
    (State.LOGGED_IN, Delivered): State.LOGGED_IN,
    (State.LOGGED_IN, InboxDelivered): State.LOGGED_IN,
    (State.LOGGED_IN, AccountChanged): State.LOGGED_IN,
    (State.LOGGED_IN, LinksChanged): State.LOGGED_IN,
    (State.LOGGED_IN, Goodbye): State.CLOSED,
}
"""Every step the server may take. What is not here ends the connection."""

ANSWER_TO: Final[dict[type[RequestBody], type[Answer]]] = {
    PasswordParameters: PasswordSalt,
    Register: LoggedIn,
    LogInWithPassword: LoggedIn,
    LogIn: LoggedIn,
    Ping: Done,
    GetAccount: Account,
    PublishKeyPackages: KeyPackageCount,
    CountKeyPackages: KeyPackageCount,
    ClaimKeyPackages: ClaimedKeyPackages,
    CreateGroup: Appended,
    CommitGroup: Appended,
    OfferCommit: Appended,
    Propose: Appended,
    SendMessage: Appended,
    Sync: Synced,
    Fetch: Entries,
    FetchInbox: InboxEntries,
    GetGroupInfo: StoredGroupInfo,
    GetTree: Chunk,
    PutChunk: Uploaded,
    GetBlob: Chunk,
    PutFile: FileStored,
    GetFile: FilePiece,
    DeleteFile: Done,
    GetStatements: Statements,
    GetChangedAccounts: ChangedAccounts,
    GetDevices: Devices,
    ChangeAccount: Done,
    OfferStatements: Done,
    PutBox: Done,
    GetBox: Box,
    LogInForRecovery: LoggedIn,
    GetVault: SealedVault,
    ResetAccount: Done,
    OpenLink: LinkStanding,
    GetLink: LinkStanding,
    RevealLink: LinkStanding,
    CloseLink: Done,
    GetLinks: Links,
    AnswerLink: Done,
    FinishLink: Done,
    GetTreeHead: TreeHeadOffered,
    SearchLog: LogSearched,
    MonitorLog: LogStanding,
    ExtendLog: LogExtension,
    AuditLog: LogSteps,
}
"""The one kind of answer each request has, beside a refusal."""

IN_FLIGHT: Final = {
    State.GREETING: 0,
    State.STRANGER: MAX_IN_FLIGHT_BEFORE_LOGIN,
    State.LOGGED_IN: MAX_IN_FLIGHT,
    State.CLOSED: 0,
}


class Greeted(Struct, frozen=True):
    hello: ServerHello


class Responded(Struct, frozen=True):
    id: int
    answer: Answer


class RefusedEvent(Struct, frozen=True):
    refusal: Refused

    @property
    def id(self) -> int:
        return self.refusal.id


class DeliveredEvent(Struct, frozen=True):
    group: bytes
    entries: list[Entry]


class InboxEvent(Struct, frozen=True):
    entries: list[InboxEntry]


class AccountEvent(Struct, frozen=True):
    """An account has a new statement; so says the server."""

    user: str
    serial: int


class LinksEvent(Struct, frozen=True):
    """Among the account's requests to link a device something has moved; so says the server."""


Event = Greeted | Responded | RefusedEvent | DeliveredEvent | InboxEvent | AccountEvent | LinksEvent | Closed


class ClientConnection(Connection[ServerFrame, Event]):
    """Give it what the network gives, write what it asks, act on the events it returns."""

    def __init__(self, hello: ClientHello | None = None) -> None:
        super().__init__(decode=decode_server_frame, next_state=NEXT_STATE, max_frame=MAX_FRAME)
        self._hello = hello if hello is not None else ClientHello([PROTOCOL_VERSION])
        self._outgoing.append(encode_frame(self._hello))
        self._waiting: deque[bytes] = deque()
        self._expected: dict[int, type[Answer]] = {}
        self._last_id = 0
        self._in_flight = 0

    def request(self, body: RequestBody, name: int = 0) -> int:
        """Queue a request; its answer arrives as ``Responded`` or ``RefusedEvent`` with this id."""
        return self._queue(type(body), encode_value(body), name)

    def request_encoded(self, body: bytes, name: int) -> int:
        """Queue a request that was encoded and stored before, byte for byte."""
        return self._queue(type(decode_request(body)), body, name)

    def ping(self) -> int:
        return self.request(Ping())

    def acknowledge(self, acks: list[Acknowledged]) -> None:
        """Say what is stored; the server answers nothing."""
        if self.state is not State.LOGGED_IN:
            raise LocalProtocolError(f"cannot acknowledge while {self.state.name}")
        self._outgoing.append(encode_frame(Acknowledge(acks)))

    def _queue(self, kind: type[RequestBody], body: bytes, name: int) -> int:
        if self.state not in (State.STRANGER, State.LOGGED_IN):
            raise LocalProtocolError(f"cannot send a request while {self.state.name}")
        if (kind in CHANGING) != (name > 0):
            raise LocalProtocolError(f"a name is for requests that change something, not {kind.__name__}")
        if kind not in PUBLIC and (kind in BEFORE) != (self.state is State.STRANGER):
            raise LocalProtocolError(f"cannot ask {kind.__name__} while {self.state.name}")
        frame = encode_frame(Request(self._last_id + 1, Raw(body), name))
        if len(frame) > MAX_FRAME:
            raise LocalProtocolError(f"a request of {len(frame)} bytes; the limit is {MAX_FRAME}")
        self._last_id += 1
        self._expected[self._last_id] = ANSWER_TO[kind]
        self._waiting.append(frame)
        self._let_out()
        return self._last_id

    def _let_out(self) -> None:
        """Requests go in order, as many at once as the server takes."""
        while self._waiting and self._in_flight < IN_FLIGHT[self.state]:
            self._outgoing.append(self._waiting.popleft())
            self._in_flight += 1

    def _take(self, frame: ServerFrame) -> Event:
        match frame:
            case Response():
                return self._take_response(frame)
            case Refused():
                self._expect(frame.id)
                self._let_out()
                return RefusedEvent(frame)
            case Delivered() | InboxDelivered() | AccountChanged():
                return _pushed(frame)
            case LinksChanged():
                return LinksEvent()
            case ServerHello():
                if frame.version not in self._hello.versions:
                    raise RemoteProtocolError(
                        f"the server chose version {frame.version}, which was not offered"
                    )
                return Greeted(frame)
            case Goodbye():
                self._end()
                return Closed(frame.code, frame.text, theirs=True)
            case _:
                assert_never(frame)

    def _take_response(self, response: Response) -> Responded:
        kind = self._expect(response.id)
        answer = decode_answer(response.body)
        if type(answer) is not kind:
            raise RemoteProtocolError(f"{type(answer).__name__} where {kind.__name__} belongs")
        if type(answer) is LoggedIn:
            self.state = State.LOGGED_IN
        self._let_out()
        return Responded(response.id, answer)

    def _expect(self, request_id: int) -> type[Answer]:
        kind = self._expected.get(request_id)
        if kind is None or request_id > self._last_id - len(self._waiting):
            raise RemoteProtocolError(f"an answer to request {request_id}, which waits for none")
        del self._expected[request_id]
        self._in_flight -= 1
        return kind

    def _forget(self) -> None:
        self._waiting.clear()
        self._expected.clear()


def _pushed(frame: Delivered | InboxDelivered | AccountChanged) -> Event:
    match frame:
        case Delivered():
            return DeliveredEvent(frame.group, frame.entries)
        case InboxDelivered():
            return InboxEvent(frame.entries)
        case AccountChanged():
            return AccountEvent(frame.user, frame.serial)
        case _:
            assert_never(frame)
