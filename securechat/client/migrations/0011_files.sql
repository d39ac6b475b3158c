-- Files on their way: what we send, and what we fetch of others. Keys of what was sent stand in the messages.

CREATE TABLE sending_file (                             -- until its message is queued
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    path            BLOB NOT NULL,                      -- as the system spells it
    caption         TEXT NOT NULL,
    file            BLOB NOT NULL UNIQUE,               -- its id at the server, random
    key             BLOB NOT NULL,
    prefix          BLOB NOT NULL,
    size            INTEGER NOT NULL,
    tags            BLOB NOT NULL,                      -- of all sealed pieces, 16 bytes each: these pieces and no others
    digest          BLOB NOT NULL                       -- SHA-256 of all sealed pieces
) STRICT;

CREATE TABLE fetched_file (                             -- begun by the user, one for a message
    message         INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
    part            BLOB NOT NULL,                      -- where it grows; empty once it is whole
    path            BLOB NOT NULL DEFAULT x''           -- where it lies since then
) STRICT;
