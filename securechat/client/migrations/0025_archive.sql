-- The archive: what of the history the server keeps for every device of the account (docs/decisions/0019).

-- 1: as it stands now it is in the archive. What never goes there stays 0.
ALTER TABLE message ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
-- Who shared it, of what came from somebody's copy of a room's history; empty: nobody did.
ALTER TABLE message ADD COLUMN vouched TEXT NOT NULL DEFAULT '';
CREATE INDEX message_to_archive ON message (id)
    WHERE archived = 0 AND hidden = 0 AND lifetime = 0 AND expires = 0 AND state IN ('sent', 'received');

-- What changes of an archived message goes there again; of what was withdrawn the words leave it.
CREATE TABLE to_strike (
    id              BLOB PRIMARY KEY NOT NULL,          -- the message's MIMI id
    time            INTEGER NOT NULL                    -- of the message, in seconds since 1970
) STRICT, WITHOUT ROWID;
CREATE TRIGGER message_archived_anew AFTER UPDATE OF deleted, version, closed, hidden ON message
WHEN old.archived = 1 AND (new.deleted <> old.deleted OR new.version IS NOT old.version
    OR new.closed <> old.closed OR new.hidden <> old.hidden) BEGIN
    UPDATE message SET archived = 0 WHERE id = new.id;
    INSERT INTO to_strike (id, time)
        SELECT coalesce(new.mimi_id, new.imported), new.timestamp WHERE new.deleted = 1 AND old.deleted = 0
        ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER reaction_archived AFTER INSERT ON reaction BEGIN
    UPDATE message SET archived = 0
        WHERE conversation = new.conversation AND mimi_id = new.target AND archived = 1;
END;
CREATE TRIGGER reaction_archived_gone AFTER DELETE ON reaction BEGIN
    UPDATE message SET archived = 0
        WHERE conversation = old.conversation AND mimi_id = old.target AND archived = 1;
END;
CREATE TRIGGER vote_archived AFTER INSERT ON vote BEGIN
    UPDATE message SET archived = 0
        WHERE conversation = new.conversation AND mimi_id = new.target AND archived = 1;
END;
CREATE TRIGGER vote_archived_anew AFTER UPDATE OF numbers ON vote WHEN new.numbers <> old.numbers BEGIN
    UPDATE message SET archived = 0
        WHERE conversation = new.conversation AND mimi_id = new.target AND archived = 1;
END;

CREATE TABLE archive_segment (                          -- those whose records are all here
    file            BLOB PRIMARY KEY NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE archive_upload (                           -- files of the archive that may be in no list
    file            BLOB PRIMARY KEY NOT NULL
) STRICT, WITHOUT ROWID;
