"""One well-formed value of everything the wire can carry."""

from msgspec import Raw

from securechat.protocol import messages as m
from securechat.protocol.frames import encode_value

KEY, HASH, SIGNATURE, GROUP = b"k" * 32, b"h" * 32, b"s" * 64, b"g" * 16
CLIENT = "c" * 20
NEW_DEVICE = m.NewDevice(CLIENT, KEY, "laptop", [3], b"a" * 16, KEY, KEY)

REQUESTS: tuple[m.RequestBody, ...] = (
    m.PasswordParameters("alice"),
    m.Register(
        "alice", CLIENT, b"a" * 16, KEY, KEY, KEY, b"credential", b"statement", KEY, SIGNATURE, SIGNATURE
    ),
    m.LogInWithPassword("alice", KEY, KEY, SIGNATURE),
    m.LogIn("alice", CLIENT, KEY, SIGNATURE),
    m.LogInForRecovery("alice", KEY, SIGNATURE),
    m.Ping(),
    m.GetAccount("bob"),
    m.CountKeyPackages(),
    m.Sync(),
    m.Fetch(GROUP, 1),
    m.FetchInbox(1),
    m.GetGroupInfo(GROUP),
    m.GetTree(GROUP, 0),
    m.PutChunk(b"u" * 16, 0, 4, b"data"),
    m.PutFile(HASH, 0, 4, b"data"),
    m.GetFile(HASH, 4),
    m.DeleteFile(HASH),
    m.GetBlob(HASH),
    m.GetStatements("bob", 1),
    m.GetChangedAccounts(7),
    m.GetDevices(),
    m.ChangeAccount(
        b"statement",
        [m.AddedDevice(CLIENT, KEY, b"credential")],
        [m.Reissued(CLIENT, b"credential")],
        b"vault",
        KEY,
        m.NewLogin(b"a" * 16, KEY),
    ),
    m.OfferStatements([b"statement"], [m.AddedDevice(CLIENT, KEY, b"credential")], b"vault"),
    m.PutBox("contacts", 1, b"sealed"),
    m.GetBox("contacts"),
    m.GetVault(),
    m.ResetAccount(b"statement", m.AddedDevice(CLIENT, KEY, b"credential"), b"vault", KEY),
    m.OpenLink(HASH),
    m.GetLink(b"l" * 16),
    m.RevealLink(b"l" * 16, NEW_DEVICE),
    m.CloseLink(b"l" * 16),
    m.GetLinks(),
    m.AnswerLink(b"l" * 16, "desk", KEY),
    m.FinishLink(b"l" * 16, b"sealed"),
    m.PublishKeyPackages([b"one"]),
    m.ClaimKeyPackages("bob", 3),
    m.CreateGroup(GROUP, m.Carried(b"info"), m.Carried(b"tree")),
    m.CommitGroup(GROUP, 0, 0, m.Carried(b"commit"), m.Carried(b"info")),
    m.Propose(GROUP, 0, b"proposal"),
    m.SendMessage(GROUP, 0, b"sealed"),
)

ENTRY = m.Entry(1, "message", 0, CLIENT, 5, b"sealed")
INBOX_ENTRY = m.InboxEntry(1, GROUP, 1, 2, CLIENT, m.Carried(b"welcome"), 5)

ANSWERS: tuple[m.Answer, ...] = (
    m.Done(),
    m.PasswordSalt(b"a" * 16, 3, 65536, 4),
    m.LoggedIn("alice", CLIENT, 0, 1, 0, 0, 5),
    m.Account("bob", b"statement"),
    m.KeyPackageCount(1, last_resort=False),
    m.ClaimedKeyPackages("bob", [m.ClaimedKeyPackage(CLIENT, b"package")]),
    m.Appended(1),
    m.Synced([m.GroupStatus(GROUP, 0, 1, 0, 1, 0, unread=[(1, 1)])]),
    m.Entries(GROUP, [m.Gap(1, 1, [HASH]), ENTRY], 1),
    m.InboxEntries([INBOX_ENTRY], 1),
    m.StoredGroupInfo(GROUP, 0, 1, 0, m.Carried(b"info")),
    m.Chunk(4, 0, b"data"),
    m.Uploaded(4, HASH),
    m.FileStored(4, 1_700_000_000),
    m.FilePiece(8, 4, b"data"),
    m.Statements("bob", [b"statement"]),
    m.ChangedAccounts([m.ChangedAccount("bob", 2)], 9),
    m.Devices([m.DeviceRow(CLIENT, KEY, b"credential", 5, 6)]),
    m.Box(1, b"sealed"),
    m.SealedVault(b"sealed"),
    m.LinkStanding(b"l" * 16, 300, [m.LinkAnswer(CLIENT, "desk", KEY)], b"sealed", CLIENT),
    m.Links([m.OpenedLink(b"l" * 16, HASH, 5, 300, "10.0.0.5", NEW_DEVICE)]),
)

SERVER_HELLO = m.ServerHello(1, "example.org", KEY, SIGNATURE, KEY)


def request(body: m.RequestBody, number: int = 1, name: int = 0) -> m.Request:
    return m.Request(number, Raw(encode_value(body)), name)


def response(answer: m.Answer, number: int = 1) -> m.Response:
    return m.Response(number, Raw(encode_value(answer)))


CLIENT_FRAMES: tuple[m.ClientFrame, ...] = (
    m.ClientHello([1]),
    *(request(body, name=int(type(body) in m.CHANGING)) for body in REQUESTS),
    m.Acknowledge([m.Acknowledged(GROUP, 1)]),
    m.Goodbye("bye"),
)

SERVER_FRAMES: tuple[m.ServerFrame, ...] = (
    SERVER_HELLO,
    *(response(answer) for answer in ANSWERS),
    m.Refused(1, "quota", "too much", 1, GROUP, 5),
    m.Delivered(GROUP, [ENTRY]),
    m.InboxDelivered([INBOX_ENTRY]),
    m.LinksChanged(),
    m.Goodbye("stopping"),
)
