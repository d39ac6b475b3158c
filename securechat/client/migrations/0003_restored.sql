-- What is needed when the server comes back from an older copy (rules.md D).

-- The server's incarnation in which "cursor" is our place in the log; 0: before we kept note of it.
ALTER TABLE conversation ADD COLUMN incarnation INTEGER NOT NULL DEFAULT 0;
-- The lowest head the server named when its log had gone back unsaid; -1: it has not.
ALTER TABLE conversation ADD COLUMN gone_back INTEGER NOT NULL DEFAULT -1;

CREATE TABLE left_incarnation (                         -- incarnations whose log we left for another's
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    incarnation     INTEGER NOT NULL,
    sure            INTEGER NOT NULL,                   -- up to here the two logs were one
    PRIMARY KEY (conversation, incarnation)
) STRICT;

CREATE TABLE kept_commit (                              -- the public commits that led here, as they came
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    epoch           INTEGER NOT NULL,                   -- the epoch it was made in
    message         BLOB NOT NULL,
    proposals       BLOB NOT NULL,                      -- the proposals it refers to, as they came
    adds            INTEGER NOT NULL,                   -- whether it added somebody
    welcome         BLOB,                               -- of a commit of ours that did
    kept            INTEGER NOT NULL,                   -- seconds since 1970
    PRIMARY KEY (conversation, epoch)
) STRICT;
CREATE INDEX kept_commit_age ON kept_commit (kept);
