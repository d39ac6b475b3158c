-- A hand-over of the history, where there is no archive: for whom it is still to be written, and whose box a file is in.

CREATE TABLE owed_device (
    device          TEXT PRIMARY KEY NOT NULL,          -- the client's id
    since           INTEGER NOT NULL                    -- seconds since 1970
) STRICT, WITHOUT ROWID;
ALTER TABLE archive_segment ADD COLUMN box TEXT NOT NULL DEFAULT 'archive';
ALTER TABLE archive_upload ADD COLUMN box TEXT NOT NULL DEFAULT 'archive';

-- What brings our account back to a server that was restored from an older copy: the last statements of its chain, its
-- devices with the certificates that they have by the newest, and the newest vault, sealed.
CREATE TABLE own_statement (
    serial          INTEGER PRIMARY KEY NOT NULL,
    body            BLOB NOT NULL
) STRICT;
CREATE TABLE own_device (
    client          TEXT PRIMARY KEY NOT NULL,
    device_key      BLOB NOT NULL,
    credential      BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE own_vault (
    serial          INTEGER PRIMARY KEY NOT NULL,
    sealed          BLOB NOT NULL
) STRICT;
