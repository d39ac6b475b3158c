-- What is to go beside a message: a file of ours from the server, and a part of somebody's file from this machine.
-- Noted in the change that makes it so, whatever makes it so, and done when it can be (client/letting_go.py).

CREATE TABLE letting_go (file BLOB PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;   -- ids at the server, of our own
CREATE TABLE old_part (path BLOB PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE sent_file (                                -- which file a message of ours has
    message         INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
    file            BLOB NOT NULL
) STRICT;

-- Nobody will ask for the file of a message that was withdrawn, or that never came to anybody.
CREATE TRIGGER message_file_goes AFTER UPDATE OF deleted, state ON message
WHEN new.own = 1 AND new.kind = 'file'
    AND (new.deleted = 1 AND old.deleted = 0 OR new.state = 'refused' AND old.state <> 'refused') BEGIN
    INSERT INTO letting_go SELECT file FROM sent_file WHERE message = new.id ON CONFLICT DO NOTHING;
    DELETE FROM sent_file WHERE message = new.id;
END;

-- One that disappears is only forgotten here: others may not have read it yet.
CREATE TRIGGER message_file_forgotten AFTER UPDATE OF kind ON message WHEN new.kind = 'gone' BEGIN
    DELETE FROM sent_file WHERE message = new.id;
END;

CREATE TRIGGER message_fetched_goes AFTER UPDATE OF deleted ON message WHEN new.deleted = 1 AND old.deleted = 0 BEGIN
    DELETE FROM fetched_file WHERE message = new.id;
END;
CREATE TRIGGER fetched_file_gone AFTER DELETE ON fetched_file WHEN old.part <> x'' BEGIN
    INSERT INTO old_part VALUES (old.part) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER fetched_file_moves AFTER UPDATE OF part ON fetched_file WHEN old.part <> x'' AND new.part <> old.part BEGIN
    INSERT INTO old_part VALUES (old.part) ON CONFLICT DO NOTHING;
END;

DELETE FROM fetched_file WHERE message IN (SELECT id FROM message WHERE deleted = 1);
