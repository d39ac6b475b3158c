-- A group that goes on as another (RFC 9420 section 11.2): the conversation stays, its group changes.

-- What the group goes on as (ReInit), from the commit that closed it until we are in that one.
ALTER TABLE conversation ADD COLUMN successor BLOB NOT NULL DEFAULT x'';
-- The group before the present one.
ALTER TABLE conversation ADD COLUMN predecessor BLOB NOT NULL DEFAULT x'';

CREATE TABLE successor (                                -- the next group as we made it, until the server has it
    conversation    INTEGER PRIMARY KEY REFERENCES conversation (id) ON DELETE CASCADE,
    epoch_state     BLOB NOT NULL,
    secrets         BLOB NOT NULL
) STRICT;

CREATE TABLE waiting_welcome (                          -- into the next group, until the old log is read to its end
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    entry           BLOB NOT NULL,
    welcome         BLOB NOT NULL,
    tree            BLOB NOT NULL
) STRICT;
CREATE INDEX waiting_welcome_conversation ON waiting_welcome (conversation, id);
