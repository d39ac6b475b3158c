-- What went wrong in no conversation that is here: an invitation that was not taken, or is gone.

CREATE TABLE account_note (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    code            TEXT NOT NULL,
    text            TEXT NOT NULL,
    epoch           INTEGER NOT NULL,
    timestamp       INTEGER NOT NULL                    -- seconds since 1970
) STRICT;
