-- Conversations: one row each, the MLS state beside it, what was said, and what is still to be done.

CREATE TABLE conversation (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT NOT NULL UNIQUE,               -- '@bob', '#team': the user's own name for it
    kind            TEXT NOT NULL CHECK (kind IN ('direct', 'room', 'announcement')),
    state           TEXT NOT NULL CHECK (state IN ('opening', 'invited', 'joined', 'left', 'removed')),
    room            TEXT NOT NULL,                      -- room URI; outlives the group
    peer            TEXT NOT NULL DEFAULT '',           -- the other user of a direct conversation
    group_id        BLOB UNIQUE,                        -- NULL until there is a group
    title           TEXT NOT NULL DEFAULT '',
    topic           TEXT NOT NULL DEFAULT '',
    profile         BLOB NOT NULL DEFAULT x'',          -- salt and profile, as sealed in Welcomes
    invited_by      TEXT NOT NULL DEFAULT '',
    last_resort     INTEGER NOT NULL DEFAULT 0,         -- joined by a last-resort key package, leaf not renewed
    untold_after    INTEGER NOT NULL DEFAULT 0,         -- messages after this one came before we joined
    cursor          INTEGER NOT NULL DEFAULT 0,         -- last sequence applied
    handshake_head  INTEGER NOT NULL DEFAULT 0,         -- sequence of the last proposal or commit applied
    epoch           INTEGER NOT NULL DEFAULT 0,
    epoch_since     INTEGER NOT NULL DEFAULT 0,         -- when our own leaf last got fresh keys
    held_code       TEXT NOT NULL DEFAULT '',
    held_text       TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE group_state (                              -- changes with an epoch
    conversation    INTEGER PRIMARY KEY REFERENCES conversation (id) ON DELETE CASCADE,
    following       INTEGER NOT NULL,                   -- 1: public state only, our secrets are gone (rules.md D)
    epoch_state     BLOB NOT NULL
) STRICT;

CREATE TABLE group_secrets (                            -- changes with every message
    conversation    INTEGER PRIMARY KEY REFERENCES conversation (id) ON DELETE CASCADE,
    secrets         BLOB NOT NULL
) STRICT;

CREATE TABLE chain (                                    -- C_count of the present epoch (rules.md A)
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    count           INTEGER NOT NULL,
    value           BLOB NOT NULL,
    PRIMARY KEY (conversation, count)
) STRICT;

CREATE TABLE pending_proposal (                         -- proposals of the present epoch, as they came
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    sequence        INTEGER NOT NULL,
    message         BLOB NOT NULL,
    PRIMARY KEY (conversation, sequence)
) STRICT;

CREATE TABLE intent (                                   -- what the user wants, judged anew after a lost race
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    kind            TEXT NOT NULL,
    subject         TEXT NOT NULL DEFAULT '',
    step            TEXT NOT NULL,
    packages        BLOB NOT NULL DEFAULT x'',          -- claimed key packages
    attempts        INTEGER NOT NULL DEFAULT 0,
    not_before      INTEGER NOT NULL DEFAULT 0          -- milliseconds since 1970
) STRICT;
CREATE INDEX intent_conversation ON intent (conversation, id);

CREATE TABLE staged (                                   -- a commit of ours the server has not answered, or not echoed
    conversation    INTEGER PRIMARY KEY REFERENCES conversation (id) ON DELETE CASCADE,
    intent          INTEGER NOT NULL,
    external        INTEGER NOT NULL,
    epoch           INTEGER NOT NULL,                   -- the epoch it was made in
    sequence        INTEGER NOT NULL DEFAULT 0,         -- its place in the log, once the server said it
    staged          BLOB NOT NULL
) STRICT;

CREATE TABLE request (                                  -- named requests, stored before they are sent
    name            INTEGER PRIMARY KEY,
    purpose         TEXT NOT NULL,
    conversation    INTEGER NOT NULL,
    ref             INTEGER NOT NULL,
    body            BLOB NOT NULL
) STRICT;

CREATE TABLE upload (                                   -- what a request carries as a blob
    id              BLOB PRIMARY KEY,
    request         INTEGER NOT NULL REFERENCES request (name) ON DELETE CASCADE,
    data            BLOB NOT NULL
) STRICT;

CREATE TABLE message (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    mimi_id         BLOB,
    sender          TEXT NOT NULL,
    own             INTEGER NOT NULL,
    state           TEXT NOT NULL,
    content         BLOB NOT NULL,                      -- MIMI content as it was sealed
    text            TEXT NOT NULL,
    timestamp       INTEGER NOT NULL,
    sequence        INTEGER NOT NULL DEFAULT 0,
    epoch           INTEGER NOT NULL DEFAULT 0,
    code            TEXT NOT NULL DEFAULT '',
    verified        TEXT NOT NULL DEFAULT 'known' CHECK (verified IN ('known', 'changed')),
    key             TEXT UNIQUE,                        -- the caller's own key: repeated, the first result
    sealed          BLOB,                               -- SHA-256 of the ciphertext in flight
    printed         INTEGER NOT NULL DEFAULT 0,         -- by `receive`
    shown           INTEGER NOT NULL DEFAULT 0,         -- by a chat
    UNIQUE (conversation, mimi_id)
) STRICT;
CREATE INDEX message_sequence ON message (conversation, sequence);
CREATE INDEX message_queued ON message (conversation, id) WHERE state = 'queued';
CREATE INDEX message_unprinted ON message (id) WHERE printed = 0 AND own = 0;
CREATE INDEX message_unshown ON message (id) WHERE shown = 0 AND own = 0;
CREATE INDEX message_sealed ON message (conversation, sealed) WHERE sealed IS NOT NULL;

CREATE TABLE key_package (                              -- what waits at the server for those who want to add us
    reference       BLOB PRIMARY KEY,
    bundle          BLOB NOT NULL,
    last_resort     INTEGER NOT NULL,
    made_at         INTEGER NOT NULL,
    not_after       INTEGER NOT NULL
) STRICT;

CREATE TABLE contact (                                  -- pins: what we know of other users' account keys
    user            TEXT PRIMARY KEY,
    account_key     BLOB NOT NULL,
    generation      INTEGER NOT NULL,
    first_seen      INTEGER NOT NULL,
    changed_to      BLOB                                -- a key that was seen later and not accepted
) STRICT;

CREATE TABLE counter (                                  -- numbers that only rise: request names, the inbox cursor
    name            TEXT PRIMARY KEY,
    value           INTEGER NOT NULL
) STRICT;
