-- The server's whole state. Times are seconds since 1970; sequences count from 1 in each group.

-- One row: who this server is, for the life of the database.
CREATE TABLE server (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    domain TEXT NOT NULL,
    identity_key BLOB NOT NULL,
    secret BLOB NOT NULL,
    incarnation INTEGER NOT NULL
);

CREATE TABLE account (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user TEXT NOT NULL UNIQUE,
    salt BLOB NOT NULL,
    login_hash TEXT NOT NULL,
    account_key BLOB NOT NULL,
    statement BLOB NOT NULL,
    created INTEGER NOT NULL
);

CREATE TABLE client (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id),
    name TEXT NOT NULL UNIQUE,
    device_key BLOB NOT NULL,
    credential BLOB NOT NULL,
    high_water INTEGER NOT NULL DEFAULT 0,
    inbox_head INTEGER NOT NULL DEFAULT 0,
    inbox_cursor INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL
);
CREATE INDEX client_by_account ON client (account);

-- The last answers of each client: slot is client * 1024 + name % 1024.
CREATE TABLE answer (
    slot INTEGER PRIMARY KEY,
    name INTEGER NOT NULL,
    digest BLOB NOT NULL,
    refused INTEGER NOT NULL,
    body BLOB NOT NULL
);

-- A package that was handed out keeps its row without its bytes until it expires, so that it is
-- never taken back in.
CREATE TABLE key_package (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    client INTEGER NOT NULL REFERENCES client (id),
    suite INTEGER NOT NULL,
    last_resort INTEGER NOT NULL,
    claimed INTEGER NOT NULL DEFAULT 0,
    not_after INTEGER NOT NULL,
    reference BLOB NOT NULL UNIQUE,
    body BLOB NOT NULL
);
CREATE INDEX key_package_to_claim ON key_package (client, suite, claimed, last_resort, id);

-- What changes with every message is apart from what changes with an epoch.
CREATE TABLE conversation (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id BLOB NOT NULL UNIQUE,
    epoch INTEGER NOT NULL,
    head INTEGER NOT NULL,
    handshake_head INTEGER NOT NULL,
    created INTEGER NOT NULL
);

CREATE TABLE epoch_state (
    conversation INTEGER PRIMARY KEY REFERENCES conversation (id),
    epoch INTEGER NOT NULL,
    public_state BLOB NOT NULL,
    body BLOB,
    blob BLOB,
    size INTEGER
);
CREATE INDEX epoch_state_blob ON epoch_state (blob) WHERE blob IS NOT NULL;

-- One row per node and stay: the tree of epoch e holds the rows with since <= e < until.
CREATE TABLE tree_node (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversation (id),
    node INTEGER NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX tree_node_now ON tree_node (conversation, node) WHERE until IS NULL;
CREATE INDEX tree_node_then ON tree_node (conversation, until) WHERE until IS NOT NULL;

-- A stay of a client in a group: it may read the entries start..end ("end" is null while it stays).
CREATE TABLE member (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversation (id),
    client INTEGER NOT NULL REFERENCES client (id),
    leaf INTEGER NOT NULL,
    may_speak INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER,
    cursor INTEGER NOT NULL
);
CREATE UNIQUE INDEX member_now ON member (conversation, client) WHERE "end" IS NULL;
CREATE UNIQUE INDEX member_leaf ON member (conversation, leaf) WHERE "end" IS NULL;
CREATE INDEX member_stays ON member (client, conversation, start);

-- The log. "digest" is SHA-256 of a body that has expired.
CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversation (id),
    sequence INTEGER NOT NULL,
    kind TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    client INTEGER NOT NULL REFERENCES client (id),
    time INTEGER NOT NULL,
    body BLOB,
    blob BLOB,
    size INTEGER,
    digest BLOB
);
CREATE UNIQUE INDEX entry_place ON entry (conversation, sequence);
CREATE INDEX entry_blob ON entry (blob) WHERE blob IS NOT NULL;

-- Proposals of the present epoch that no commit has taken up yet: they lie in the log.
CREATE TABLE pending (
    conversation INTEGER NOT NULL REFERENCES conversation (id),
    sequence INTEGER NOT NULL,
    client INTEGER NOT NULL REFERENCES client (id),
    PRIMARY KEY (conversation, sequence),
    UNIQUE (conversation, client)
) WITHOUT ROWID;

-- One conversation per pair of users.
CREATE TABLE direct_slot (
    first INTEGER NOT NULL REFERENCES account (id),
    second INTEGER NOT NULL REFERENCES account (id),
    conversation INTEGER NOT NULL REFERENCES conversation (id),
    PRIMARY KEY (first, second)
) WITHOUT ROWID;

CREATE TABLE inbox (
    id INTEGER PRIMARY KEY,
    client INTEGER NOT NULL REFERENCES client (id),
    sequence INTEGER NOT NULL,
    conversation INTEGER NOT NULL REFERENCES conversation (id),
    epoch INTEGER NOT NULL,
    start INTEGER NOT NULL,
    sender INTEGER NOT NULL REFERENCES client (id),
    body BLOB,
    blob BLOB,
    size INTEGER,
    time INTEGER NOT NULL
);
CREATE UNIQUE INDEX inbox_place ON inbox (client, sequence);
CREATE INDEX inbox_conversation ON inbox (conversation);
CREATE INDEX inbox_blob ON inbox (blob) WHERE blob IS NOT NULL;

-- Uploads; a complete one has a name, and is claimed by the request that uses it.
CREATE TABLE upload (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    client INTEGER NOT NULL REFERENCES client (id),
    upload BLOB NOT NULL,
    total INTEGER NOT NULL,
    received INTEGER NOT NULL,
    name BLOB,
    claimed INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL,
    UNIQUE (client, upload)
);
CREATE INDEX upload_name ON upload (name) WHERE name IS NOT NULL;

CREATE TABLE chunk (
    id INTEGER PRIMARY KEY,
    upload INTEGER NOT NULL REFERENCES upload (id),
    start INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE UNIQUE INDEX chunk_place ON chunk (upload, start);
