-- With whom the code of an epoch was compared outside the chat. A person's own note, of this device alone.

CREATE TABLE compared (
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    user            TEXT NOT NULL,
    code            TEXT NOT NULL,                      -- the digits: they tell one epoch of one group from all others
    epoch           INTEGER NOT NULL,
    since           INTEGER NOT NULL,                   -- seconds since 1970
    PRIMARY KEY (conversation, user)
) STRICT, WITHOUT ROWID;

-- Whether the person was told that somebody's keys are known now: once, when they first write to each other.
ALTER TABLE contact ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
UPDATE contact SET told = 1;
