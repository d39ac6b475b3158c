-- Verification marks of ours that may lie in the box "contacts" at the server: one that is taken back here is not
-- taken in again from there.
CREATE TABLE marks_left (
    user            TEXT PRIMARY KEY,
    account_key     BLOB NOT NULL                       -- the key that was compared
) STRICT, WITHOUT ROWID;
