-- Ids of topics that are called by a digest of theirs: a message's content may be changed or gone, its topic stays.
CREATE TABLE topic (
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    thread          TEXT NOT NULL,
    id              BLOB NOT NULL,
    PRIMARY KEY (conversation, thread)
) STRICT, WITHOUT ROWID;
