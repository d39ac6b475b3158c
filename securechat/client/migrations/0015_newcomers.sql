-- Whom a message must not reach (docs/decisions/0012), and who doubted the log (docs/decisions/0010).
ALTER TABLE conversation ADD COLUMN newcomers INTEGER NOT NULL DEFAULT 0;  -- the last epoch that began with somebody new
UPDATE conversation SET newcomers = epoch;                                 -- of those before nothing is known
CREATE TABLE doubt (                                                       -- a claim about the log that is not true here
    id              INTEGER PRIMARY KEY,
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    user            TEXT NOT NULL,
    said_in         BLOB NOT NULL,                                         -- an epoch: the group's id and its number
    about           BLOB NOT NULL,                                         -- an epoch
    claimed         BLOB NOT NULL,                                         -- how that one ended; x'': it has not
    open            INTEGER NOT NULL                                       -- whether the hold names who said it
) STRICT;
CREATE INDEX doubt_conversation ON doubt (conversation);
