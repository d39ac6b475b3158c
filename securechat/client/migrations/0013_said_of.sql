-- What is said of other messages: changes, withdrawals, reactions, votes, receipts; and messages that disappear.

ALTER TABLE message ADD COLUMN kind TEXT NOT NULL DEFAULT 'text';
-- 1: no line of its own: a note, what was said of another message, what has disappeared.
ALTER TABLE message ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;
-- The MIMI id of the message it answers, or is about.
ALTER TABLE message ADD COLUMN about BLOB;
-- The MIMI id of its last change.
ALTER TABLE message ADD COLUMN version BLOB;
ALTER TABLE message ADD COLUMN thread TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN edited INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN mentions_me INTEGER NOT NULL DEFAULT 0;
-- Seconds that it stays after it was read (ours: sent), and when it goes, in seconds since 1970; 0: for ever.
ALTER TABLE message ADD COLUMN lifetime INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;
-- The highest status of it that we reported, or are about to.
ALTER TABLE message ADD COLUMN reported INTEGER NOT NULL DEFAULT 0;

UPDATE message SET hidden = 1 WHERE state = 'not_shown';
UPDATE message SET kind = 'file' WHERE id IN (SELECT message FROM fetched_file);
UPDATE message SET kind = 'unreadable' WHERE state = 'unreadable';
UPDATE message SET reported = 2;

CREATE INDEX message_timeline ON message (conversation, id) WHERE hidden = 0;
CREATE INDEX message_thread ON message (conversation, thread, id) WHERE hidden = 0 AND thread <> '';
CREATE INDEX message_version ON message (conversation, version) WHERE version IS NOT NULL;
CREATE INDEX message_expires ON message (expires) WHERE expires > 0;
CREATE INDEX message_unread_yet ON message (conversation, id) WHERE own = 0 AND hidden = 0 AND reported < 2;
CREATE INDEX message_about ON message (conversation, about) WHERE own = 1 AND hidden = 1;
CREATE INDEX message_passing ON message (timestamp) WHERE kind IN ('receipt', 'typing');

-- How long messages stay here after they are read, in seconds; 0: for ever.
ALTER TABLE conversation ADD COLUMN expires_after INTEGER NOT NULL DEFAULT 0;

CREATE TABLE early_change (                             -- a change of a message that is not here yet: the last of each
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    target          BLOB NOT NULL,
    sender          TEXT NOT NULL,
    mimi_id         BLOB NOT NULL,
    content         BLOB NOT NULL,
    timestamp       INTEGER NOT NULL,
    withdraws       INTEGER NOT NULL,
    UNIQUE (conversation, target, sender)
) STRICT;
CREATE INDEX early_change_sender ON early_change (conversation, sender, id);

CREATE TABLE reaction (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    target          BLOB NOT NULL,
    sender          TEXT NOT NULL,
    text            TEXT NOT NULL,
    mimi_id         BLOB NOT NULL,
    waiting         INTEGER NOT NULL,                   -- 1: its message is not here yet
    UNIQUE (conversation, target, sender, text)
) STRICT;
CREATE INDEX reaction_mimi_id ON reaction (conversation, mimi_id);
CREATE INDEX reaction_waiting ON reaction (conversation, sender, id) WHERE waiting = 1;

CREATE TABLE vote (                                     -- what each is for in a poll
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    target          BLOB NOT NULL,
    sender          TEXT NOT NULL,
    numbers         BLOB NOT NULL,                      -- of options, from 1, a byte each
    waiting         INTEGER NOT NULL,
    UNIQUE (conversation, target, sender)
) STRICT;
CREATE INDEX vote_waiting ON vote (conversation, sender, id) WHERE waiting = 1;

CREATE TABLE receipt (                                  -- what others reported of our messages
    message         INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    user            TEXT NOT NULL,
    status          INTEGER NOT NULL,                   -- 1: they have it, 2: they have read it
    PRIMARY KEY (message, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE owed_receipt (                             -- what we have to report of others' messages
    message         INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    status          INTEGER NOT NULL,
    since           INTEGER NOT NULL                    -- milliseconds since 1970
) STRICT;
CREATE INDEX owed_receipt_conversation ON owed_receipt (conversation, message);

CREATE TABLE correspondent (                            -- whom we have written to, each alone: they may get receipts
    user            TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
INSERT INTO correspondent (user)
    SELECT c.peer FROM conversation c WHERE c.kind = 'direct'
        AND EXISTS (SELECT 1 FROM message m WHERE m.conversation = c.id AND m.own = 1);

CREATE TABLE setting (                                  -- options of the whole account
    name            TEXT PRIMARY KEY,
    value           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
