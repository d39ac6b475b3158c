-- The newest statement of each account that was verified, ours too: a chain goes on from here and never back.
CREATE TABLE statement (
    user TEXT PRIMARY KEY,
    account_key BLOB NOT NULL,
    serial INTEGER NOT NULL,
    body BLOB NOT NULL,
    taken INTEGER NOT NULL               -- seconds since 1970
) STRICT;
INSERT INTO statement (user, account_key, serial, body, taken) SELECT user, account_key, 1, statement, 0 FROM profile;

-- 32 random bytes that all devices of the account share and nobody else has: what seals its boxes. Null in a
-- profile of before, until it is opened again.
ALTER TABLE profile ADD COLUMN account_secret BLOB;

-- From where on the server is asked which accounts have changed (get_changed_accounts).
ALTER TABLE profile ADD COLUMN changes_seen INTEGER NOT NULL DEFAULT 0;

-- The highest serial of each box of ours that was read or written: an older one is not taken.
CREATE TABLE box (
    name TEXT PRIMARY KEY,
    serial INTEGER NOT NULL
) STRICT;
