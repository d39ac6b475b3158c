-- A group's tree and message secrets as rows: a message or a commit writes what it changed, not all there is.

CREATE TABLE group_node (                               -- the ratchet tree's nodes that are not blank
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    node            INTEGER NOT NULL,
    data            BLOB NOT NULL,
    PRIMARY KEY (conversation, node)
) STRICT;

ALTER TABLE group_secrets RENAME TO group_secrets_before;

CREATE TABLE group_secrets (                            -- changes with every message
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    row             INTEGER NOT NULL,                   -- as securechat.mls numbers them; -2: all in one, of before
    secrets         BLOB NOT NULL,
    PRIMARY KEY (conversation, row)
) STRICT, WITHOUT ROWID;

INSERT INTO group_secrets (conversation, row, secrets)
    SELECT conversation, -2, secrets FROM group_secrets_before;

DROP TABLE group_secrets_before;
