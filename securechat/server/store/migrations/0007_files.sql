-- Attachments: what they are called and how far they have come. Their bytes lie in files beside the database
-- (server/attachments.py). Whole is what has all of "total" synced; "going" is what is being deleted.
CREATE TABLE file (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name BLOB NOT NULL UNIQUE,
    account INTEGER NOT NULL REFERENCES account (id),
    total INTEGER NOT NULL,
    synced INTEGER NOT NULL DEFAULT 0,
    going INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL
);
CREATE INDEX file_of_account ON file (account, total);
CREATE INDEX file_created ON file (created) WHERE going = 0;
CREATE INDEX file_open ON file (created) WHERE going = 0 AND synced < total;
CREATE INDEX file_going ON file (going) WHERE going = 1;
