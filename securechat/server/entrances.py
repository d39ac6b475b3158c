"""What a newcomer reads to enter a group: the stored GroupInfo and the tree of an epoch.

For clients of a user who has a leaf; the tree of a Welcome's epoch also for the client it waits for,
which may have been removed since.
"""

import threading
from typing import Final

import apsw

from securechat.protocol.messages import Chunk, GetGroupInfo, GetTree, StoredGroupInfo
from securechat.server.blobs import cut
from securechat.server.errors import Refusal
from securechat.server.groups import tree_bytes
from securechat.server.values import Caller, carried_of

_FIND: Final = """
SELECT g.id, g.epoch, g.head, g.handshake_head,
    EXISTS (SELECT 1 FROM member m JOIN client c ON c.id = m.client
            WHERE m.conversation = g.id AND m."end" IS NULL AND c.account = :account),
    (SELECT max(epoch) FROM inbox WHERE conversation = g.id AND client = :client)
FROM conversation g WHERE g.group_id = :group
"""


class Entrances:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[tuple[int, int], bytes] = ((0, 0), b"")

    def get_group_info(self, db: apsw.Connection, caller: Caller, body: GetGroupInfo) -> StoredGroupInfo:
        found = self._find(db, caller, body.group)
        if found is None or not found[4]:
            raise Refusal("no_group")
        conversation, epoch, head, handshake_head, _, _ = found
        columns = db.execute(
            "SELECT body, blob, size FROM epoch_state WHERE conversation = ?", (conversation,)
        ).fetchone()
        if columns is None or (columns[0] is None and columns[1] is None):
            raise Refusal("gone", "this epoch came back without a GroupInfo")
        return StoredGroupInfo(body.group, epoch, head, handshake_head, carried_of(columns))

    def get_tree(self, db: apsw.Connection, caller: Caller, body: GetTree) -> Chunk:
        found = self._find(db, caller, body.group)
        if found is None:
            raise Refusal("no_group")
        conversation, epoch, head, _, has_leaf, _ = found
        invited = db.execute(
            "SELECT 1 FROM inbox WHERE conversation = ? AND client = ? AND epoch = ?",
            (conversation, caller.client, body.epoch),
        ).fetchone()
        if not (has_leaf and body.epoch == epoch) and invited is None:
            raise Refusal("gone", "this epoch's tree is not kept", head=head if has_leaf else 0)
        return cut(self._tree(db, conversation, body.epoch), body.offset)

    def _find(
        self, db: apsw.Connection, caller: Caller, group: bytes
    ) -> tuple[int, int, int, int, bool, int | None] | None:
        asked = {"account": caller.account, "client": caller.client, "group": group}
        found = db.execute(_FIND, asked).fetchone()
        return found if found is not None and (found[4] or found[5] is not None) else None

    def _tree(self, db: apsw.Connection, conversation: int, epoch: int) -> bytes:
        """The tree in one piece. The last one is kept, because it is read piece by piece.

        An epoch that is committed has one tree, and this reads committed epochs only.
        """
        with self._lock:
            key, whole = self._last
        if key == (conversation, epoch):
            return whole
        whole = tree_bytes(db, conversation, epoch)
        with self._lock:
            self._last = ((conversation, epoch), whole)
        return whole
