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

-- "expired": no message up to here has a body any more.
ALTER TABLE conversation ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;

-- Set in a backup: a server that starts on it begins a new incarnation.
ALTER TABLE server ADD COLUMN is_copy INTEGER NOT NULL DEFAULT 0;
-- When the last backup was made, and when somebody last asked whether writing works.
ALTER TABLE server ADD COLUMN last_backup INTEGER NOT NULL DEFAULT 0;
ALTER TABLE server ADD COLUMN probed INTEGER NOT NULL DEFAULT 0;

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

-- Where a log stood when an older copy of this database came back; "ended" is the incarnation that
-- ended there. Whose place in the log is of that incarnation knows it up to "head", and not beyond.
CREATE TABLE restore (
    conversation INTEGER NOT NULL REFERENCES conversation (id),
    ended INTEGER NOT NULL,
    head INTEGER NOT NULL,
    PRIMARY KEY (conversation, ended)
) WITHOUT ROWID;

-- The lowest quota that an account has of its own.
CREATE INDEX account_quota ON account (quota) WHERE quota IS NOT NULL;

-- A commit that its members brought back to a restored log.
ALTER TABLE entry ADD COLUMN offered INTEGER NOT NULL DEFAULT 0;

-- Retention finds what is due without looking at what is not.
CREATE INDEX entry_digest ON entry (conversation, sequence) WHERE digest IS NOT NULL;
CREATE INDEX entry_commit ON entry (time) WHERE kind = 'commit';
CREATE INDEX member_behind ON member (conversation, cursor) WHERE "end" IS NOT NULL AND cursor < "end";
CREATE INDEX upload_open ON upload (client, created) WHERE claimed = 0;

-- Clients of before have stored what lies in the logs of theirs.
UPDATE client SET stored = found.bytes FROM
    (SELECT client, sum(length(body)) AS bytes FROM entry WHERE kind = 'message' GROUP BY client) AS found
WHERE found.client = client.id;

-- Answers lie in the order in which they were given, each with what leads to the ones before it
-- (store/answers.py): "previous" is that of the name before, "block" that of the multiple of 32 before.
-- Until here slot was client * 1024 + name % 1024, and names follow each other without a hole.
ALTER TABLE client ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE answer RENAME TO answer_ring;
CREATE TABLE answer (
    id INTEGER PRIMARY KEY,
    client INTEGER NOT NULL REFERENCES client (id),
    name INTEGER NOT NULL,
    previous INTEGER NOT NULL,
    block INTEGER NOT NULL,
    digest BLOB NOT NULL,
    refused INTEGER NOT NULL,
    body BLOB NOT NULL
);
INSERT INTO answer
SELECT id, client, name, id - 1, id - (name - (name - 1) / 32 * 32), digest, refused, body FROM
    (SELECT row_number() OVER (ORDER BY slot / 1024, name) AS id, slot / 1024 AS client, * FROM answer_ring)
ORDER BY id;
UPDATE client SET answered = found.last FROM
    (SELECT client, max(id) AS last FROM answer GROUP BY client) AS found
WHERE found.client = client.id;
DROP TABLE answer_ring;

-- Up to where the last round looked for answers to let go of, and the last answer there was.
CREATE TABLE answer_sweep (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    place INTEGER NOT NULL,
    head INTEGER NOT NULL
);
INSERT INTO answer_sweep VALUES (1, 0, 0);
