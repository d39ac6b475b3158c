-- What limits, retention, invites, administration and a restored copy need.

-- Time since when an account may not log in; null while it may.
ALTER TABLE account ADD COLUMN disabled INTEGER;
-- Bytes of its own that may lie here; null is the server's default.
ALTER TABLE account ADD COLUMN quota INTEGER;
-- Wrong passwords since the last right one or device login, and those its owner has not been told of.
ALTER TABLE account ADD COLUMN failed_logins INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN failed_untold INTEGER NOT NULL DEFAULT 0;

-- Bytes of its entries in the logs, and the day it last logged in.
ALTER TABLE client ADD COLUMN stored INTEGER NOT NULL DEFAULT 0;
ALTER TABLE client ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;

-- "restored" is the head a log had when an older copy of it came back (null: never).
-- All entries up to "expired" have been let go of.
ALTER TABLE conversation ADD COLUMN restored INTEGER;
ALTER TABLE conversation ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;

-- Set in a backup: a server that starts on it begins a new incarnation.
ALTER TABLE server ADD COLUMN is_copy INTEGER NOT NULL DEFAULT 0;

CREATE INDEX key_package_expiry ON key_package (not_after);
CREATE INDEX inbox_time ON inbox (time);
CREATE INDEX upload_unclaimed ON upload (created) WHERE claimed = 0;

-- Tokens that open a closed door; what is kept is SHA-256 of them.
CREATE TABLE invite (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    note TEXT NOT NULL,
    uses INTEGER NOT NULL,
    used INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL,
    not_after INTEGER NOT NULL
);
