-- What an account says of itself, one statement after the other; sealed boxes of its own; devices that are none
-- any more.

-- Every statement that was in force. A chain begins at serial 1 and the newest chain holds (an account that was
-- reset has another before it). Ids never come again: clients ask what came after one.
CREATE TABLE statement (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id),
    serial INTEGER NOT NULL,
    body BLOB NOT NULL,
    time INTEGER NOT NULL
);
CREATE INDEX statement_of_account ON statement (account, id);
INSERT INTO statement (account, serial, body, time) SELECT id, 1, statement, created FROM account ORDER BY id;

-- Since when (seconds since 1970) a client is none any more; null while it is one.
ALTER TABLE client ADD COLUMN revoked INTEGER;

-- Sealed by the account under its recovery key, and the public half of the key that proves it; null without one.
ALTER TABLE account ADD COLUMN vault BLOB;
ALTER TABLE account ADD COLUMN recovery_key BLOB;

CREATE TABLE box (
    account INTEGER NOT NULL REFERENCES account (id),
    name TEXT NOT NULL,
    serial INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (account, name)
);
