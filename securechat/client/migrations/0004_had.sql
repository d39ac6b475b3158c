-- What is needed when copies of several lines of the server are restored one after the other (rules.md D).

-- SHA-256 of the entry that led to the value; empty: of before we kept it.
ALTER TABLE chain ADD COLUMN entry BLOB NOT NULL DEFAULT x'';

CREATE TABLE had (                                      -- entries of the present epoch read in lines that were left
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    entry           BLOB NOT NULL,                      -- SHA-256
    PRIMARY KEY (conversation, entry)
) STRICT, WITHOUT ROWID;
