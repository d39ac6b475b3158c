-- The key directory's log (docs/transparency.md). One row: where it stands.
CREATE TABLE key_log (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    vrf_secret BLOB NOT NULL,
    -- The incarnation of this server in which the log began, and its signed word for that.
    log INTEGER NOT NULL,
    begun BLOB NOT NULL,
    -- After the last entry: size, full subtrees, prefix root and time, in one value.
    state BLOB NOT NULL,
    -- The last head that was signed; empty before the first.
    head BLOB NOT NULL,
    -- The accounts up to this one have their entry.
    filled INTEGER NOT NULL
) STRICT;

-- "before" is what the prefix tree said of the label until then: who follows all entries needs it.
CREATE TABLE log_entry (
    position INTEGER PRIMARY KEY,
    label BLOB NOT NULL,
    revision INTEGER NOT NULL,
    body BLOB NOT NULL,
    before BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX log_entry_of_label ON log_entry (label, revision);

-- Complete subtrees only; they never change.
CREATE TABLE log_node (
    level INTEGER NOT NULL,
    place INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (level, place)
) STRICT, WITHOUT ROWID;

-- By their hash; "added" is the entry that added it.
CREATE TABLE prefix_node (
    name BLOB PRIMARY KEY,
    content BLOB NOT NULL,
    added INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Each user's label, with the proof of it: made once.
CREATE TABLE log_label (
    user TEXT PRIMARY KEY,
    label BLOB NOT NULL,
    proof BLOB NOT NULL
) STRICT, WITHOUT ROWID;
