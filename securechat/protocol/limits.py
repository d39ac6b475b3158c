"""Every limit of the wire, with its reason. Sizes are bytes, times are seconds."""

from typing import Final

PROTOCOL_VERSION: Final = 1
"""The version this code speaks; Hello carries the list of those a side knows."""

ALPN: Final = "securechat/1"
"""The only application protocol the listener takes (RFC 7301)."""

MAX_FRAME_BEFORE_LOGIN: Final = 4 * 1024
"""A stranger may make us hold this much: a registration fits, nothing larger does."""

MAX_FRAME: Final = 256 * 1024
"""After login: the largest request (a Create with three bodies of 64 KiB) fits."""

MAX_BODY: Final = 64 * 1024
"""A body carried inside a frame; what may be larger is a blob."""

MAX_CHUNK: Final = 64 * 1024
"""One piece of a blob or a tree."""

MAX_BLOB: Final = 16 * 1024 * 1024
"""A cold commit or a tree of 1,000 post-quantum leaves is 3 MB; attachments are files, see below."""

MAX_FILE: Final = 1_074_004_048
"""An attachment as it is stored: 1 GiB, sealed in pieces of `MAX_CHUNK` with 16 bytes of tag each."""

MAX_CARRIED: Final = 3 * 1024 * 1024
"""What a request may carry as a blob: it is decoded and judged. 256 Adds and a cold path of 1,000
post-quantum leaves are 2.3 MB; of small proposals it is a second's work to refuse."""

MAX_LEAF: Final = 4 * 1024
"""A leaf in a group, encoded, as in a key package: every newcomer reads them all."""

MAX_POLICY: Final = 64 * 1024
"""A room's policy, encoded: every member reads it with every commit."""

MAX_ENTRIES: Final = 512
"""Log entries in one answer or push; bytes bound it first, this bounds the objects."""

MAX_KEY_PACKAGES: Final = 100
"""Key packages a client may have waiting at the server; a month of invitations."""

MAX_KEY_PACKAGE: Final = 6 * 1024
"""One, encoded: two post-quantum keys of 1,216 bytes, a credential of 2 KiB and the rest."""

MAX_CLIENTS_PER_USER: Final = 10
"""Devices of one account: the leaves one user may have in a group (rules.md B)."""

MAX_STATEMENT: Final = 16 * 1024
"""An account's statement, encoded: ten devices and 32 that were revoked, in the longest domain."""

MAX_STATEMENTS: Final = 8
"""Statements in one answer: 128 KiB at most."""

MAX_CHANGED: Final = 256
"""Accounts in one answer that have a new statement."""

MAX_BOX: Final = 128 * 1024
"""A sealed box of an account at the server: a thousand contacts, or as many conversations."""

BOXES: Final = frozenset({"archive", "contacts", "devices", "secret", "transfer"})
"""What the boxes of an account are called. There are no others, or a stolen device could leave so many of its
own that the account has no room for one that it needs: nobody ever knows whether they may go."""

MAX_VAULT: Final = 8 * 1024
"""An account's vault: keys, sealed twice at most."""

MAX_LINK: Final = 64 * 1024
"""What an old device seals for a new one: keys, the statement, and what it may want to say beside them."""

LINK_SECONDS: Final = 300
"""From a new device's request to be linked to its end, whatever came of it."""

MAX_GROUP_CLIENTS: Final = 1_000
"""Leaves of a group: the size our trees are measured at."""

MAX_ADDS: Final = 256
"""Clients that one commit may add (rules.md A): its Welcome stays within a blob."""

MAX_TREE_HEAD: Final = 4 * 1024
"""A head of the key log with the log's last entry and two proofs: at most 3.2 kB."""

MAX_LOG_BEGUN: Final = 1024
"""The server's word that a log began: 338 bytes with the last head of the one before."""

MAX_LOG_SEARCH: Final = 64 * 1024
"""What the key log says of a user: 256 changes are 36 kB, everything else at most 10."""

MAX_LOG_PROOF: Final = 16 * 1024
"""One proof of the key log: a path in the prefix tree has at most 256 hashes, 8 kB."""

MAX_AUDITED: Final = 32
"""Entries of the key log in one answer: about 1 kB each."""

MAX_UNREAD: Final = 4
"""Runs of unread messages that a group's status tells of: with a thousand groups it fits a frame."""

ANSWERS_KEPT: Final = 1_024
"""Last answers the server keeps per client for requests that are sent twice."""

MAX_IN_FLIGHT: Final = 64
"""Unanswered requests of one connection: enough to keep a long line busy, little to hold."""

MAX_IN_FLIGHT_BEFORE_LOGIN: Final = 1
"""A stranger asks one thing at a time."""

MAX_MISPLACED: Final = 8
"""Requests of one connection that belong before its login or after it: no rate counts their refusals."""

HANDSHAKE_SECONDS: Final = 5
"""From the connection to the end of the TLS handshake; no byte prolongs it."""

STRANGER_SECONDS: Final = 9
"""From the connection to the first whole request, and from one to the next: a password that is stretched
in between takes a second or two, and who stays silent is gone within ten (O-01)."""

LOGIN_SECONDS: Final = 30
"""From the connection to a login, whatever is asked in between."""

MAX_QUEUED: Final = 1024 * 1024
"""Bytes that wait for a slow reader; then it is disconnected and the messages wait in the log."""

PING_AFTER: Final = 25
"""A client that said nothing for so long sends a Ping."""

SILENCE_LIMIT: Final = 60
"""A connection on which nothing came for so long is dead (Q-04)."""
