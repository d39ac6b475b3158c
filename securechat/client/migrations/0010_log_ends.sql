-- How the log of past epochs ended: what was withheld at the end of one shows in the claims of the next.

CREATE TABLE log_end (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order of the epochs, also of several groups
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    group_id        BLOB NOT NULL,
    epoch           INTEGER NOT NULL,
    value           BLOB NOT NULL,                      -- of the chain at the commit; empty: not to be compared
    told            INTEGER NOT NULL,                   -- 1: a message of ours in a later epoch's log has said it
    UNIQUE (conversation, group_id, epoch)
) STRICT;

-- Of the present epoch nothing is claimed: whether its chain has a gap was not kept.
INSERT INTO log_end (conversation, group_id, epoch, value, told)
    SELECT id, group_id, epoch, x'', 1 FROM conversation WHERE group_id IS NOT NULL;
