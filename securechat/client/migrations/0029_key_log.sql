-- The server's key log as this device believes it (docs/transparency.md). One row.
CREATE TABLE key_log (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- The newest head, with the log's last entry (encoded); when it was taken, and the first one of this log.
    head BLOB NOT NULL,
    last BLOB NOT NULL,
    taken INTEGER NOT NULL,
    first_size INTEGER NOT NULL,
    first_taken INTEGER NOT NULL,
    -- Our own label is checked at all distinguished sizes up to this one.
    own_at INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What the log said of a user last, and where: what it takes to accuse the server should it say otherwise.
CREATE TABLE key_log_seen (
    user TEXT PRIMARY KEY,
    head BLOB NOT NULL,
    label BLOB NOT NULL,
    state BLOB NOT NULL,
    placed BLOB NOT NULL,
    account_key BLOB NOT NULL,
    checked INTEGER NOT NULL,
    -- The distinguished size at which it must have become part of the user's history; 0: it was, there.
    due_at INTEGER NOT NULL,
    -- The revision that must stand there at least.
    reached INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The changes of a user since what must stand at the next such size; of ourselves all.
CREATE TABLE key_log_change (
    user TEXT NOT NULL,
    revision INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (user, revision)
) STRICT, WITHOUT ROWID;

-- Whom to look up: people whose keys came by a way of their own, or whom we want to send to.
CREATE TABLE key_log_wanted (
    user TEXT PRIMARY KEY,
    -- When the server said that there is nobody of that name; 0: it was not asked yet.
    absent INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TRIGGER contact_is_new AFTER INSERT ON contact BEGIN
    DELETE FROM key_log_wanted WHERE user = new.user;
    INSERT INTO key_log_wanted (user) VALUES (new.user);
END;
CREATE TRIGGER contact_has_changed AFTER UPDATE OF account_key, changed_to, generation ON contact BEGIN
    DELETE FROM key_log_wanted WHERE user = new.user;
    INSERT INTO key_log_wanted (user) VALUES (new.user);
END;
CREATE TRIGGER statement_is_new AFTER INSERT ON statement BEGIN
    DELETE FROM key_log_wanted WHERE user = new.user;
    INSERT INTO key_log_wanted (user) VALUES (new.user);
END;
CREATE TRIGGER statement_has_changed AFTER UPDATE OF body ON statement BEGIN
    DELETE FROM key_log_wanted WHERE user = new.user;
    INSERT INTO key_log_wanted (user) VALUES (new.user);
END;
INSERT INTO key_log_wanted (user) SELECT user FROM contact;

-- Heads that others told us they were shown, the newest of each; "verdict" is empty before it is compared.
CREATE TABLE key_log_heard (
    user TEXT PRIMARY KEY,
    head BLOB NOT NULL,
    heard INTEGER NOT NULL,
    verdict TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- Which head we told in which conversation last, and when.
CREATE TABLE key_log_told (
    conversation INTEGER PRIMARY KEY REFERENCES conversation (id) ON DELETE CASCADE,
    log INTEGER NOT NULL,
    size INTEGER NOT NULL,
    since INTEGER NOT NULL
) STRICT;

-- What the server was caught at; "evidence" is empty where it only did not prove what it said.
CREATE TABLE key_log_lie (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    code TEXT NOT NULL,
    rule TEXT NOT NULL,
    text TEXT NOT NULL,
    since INTEGER NOT NULL,
    log INTEGER NOT NULL,
    -- A user, what HEAD_OF says, or nothing: the log itself.
    about TEXT NOT NULL,
    evidence BLOB NOT NULL
) STRICT;
