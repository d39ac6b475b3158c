-- A room's history for people who come in: what we owe them, and what was handed to us.

CREATE TABLE owed_history (                             -- packed in the change that let them in
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    user            TEXT NOT NULL,
    count           INTEGER NOT NULL,
    content         BLOB NOT NULL                       -- as it will be sealed
) STRICT;
CREATE TABLE shared_history (                           -- what a message that was taken says is handed to us
    message         INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    sender          TEXT NOT NULL,
    shared          BLOB NOT NULL,                      -- where it lies, as the message says it
    done            INTEGER NOT NULL DEFAULT 0
) STRICT;
