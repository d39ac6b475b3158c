-- Epoch codes: what those who share several groups tell each other of one in another (docs/decisions/0021).

CREATE TABLE epoch_code (                               -- epochs whose secrets we have had, the newest of each conversation
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    group_id        BLOB NOT NULL,
    epoch           INTEGER NOT NULL,
    code            BLOB NOT NULL,
    UNIQUE (group_id, epoch, conversation)
) STRICT;
CREATE INDEX epoch_code_conversation ON epoch_code (conversation);

CREATE TABLE epoch_code_told (                          -- what we told in a conversation of another one last
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    about           INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    code            BLOB NOT NULL,
    since           INTEGER NOT NULL,                   -- seconds since 1970
    PRIMARY KEY (conversation, about)
) STRICT, WITHOUT ROWID;

CREATE TABLE epoch_code_heard (                         -- what somebody told us elsewhere of a conversation last, if it is not so here
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    user            TEXT NOT NULL,
    group_id        BLOB NOT NULL,
    incarnation     INTEGER NOT NULL,
    epoch           INTEGER NOT NULL,
    code            BLOB NOT NULL,
    passed          INTEGER NOT NULL DEFAULT -1,        -- up to this epoch our user has let their word pass
    PRIMARY KEY (conversation, user)
) STRICT, WITHOUT ROWID;
