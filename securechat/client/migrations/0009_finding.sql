-- What finding takes: the words of what was said, what is new and last, and what was set for a conversation.

-- Kept by the triggers below; a message is in it exactly while it has a text. The conversation is a word of
-- its own, so that a search in one of them does not walk through everybody's messages.
CREATE VIEW message_said AS SELECT id, conversation, text FROM message WHERE text <> '';
CREATE VIRTUAL TABLE message_words USING fts5(
    conversation, text,
    content = 'message_said', content_rowid = 'id', columnsize = 0, prefix = '1 2',
    tokenize = 'simplify casefold true strip true unicodewords'
);
-- What is deleted leaves the index at once, not when it is next merged (L-04).
INSERT INTO message_words (message_words, rank) VALUES ('secure-delete', 1);
INSERT INTO message_words (rowid, conversation, text)
    SELECT id, conversation, text FROM message_said;

CREATE TRIGGER message_words_new AFTER INSERT ON message WHEN new.text <> '' BEGIN
    INSERT INTO message_words (rowid, conversation, text) VALUES (new.id, new.conversation, new.text);
END;
CREATE TRIGGER message_words_gone AFTER DELETE ON message WHEN old.text <> '' BEGIN
    INSERT INTO message_words (message_words, rowid, conversation, text)
        VALUES ('delete', old.id, old.conversation, old.text);
END;
CREATE TRIGGER message_words_off AFTER UPDATE OF id, conversation, text ON message WHEN old.text <> '' BEGIN
    INSERT INTO message_words (message_words, rowid, conversation, text)
        VALUES ('delete', old.id, old.conversation, old.text);
END;
CREATE TRIGGER message_words_on AFTER UPDATE OF id, conversation, text ON message WHEN new.text <> '' BEGIN
    INSERT INTO message_words (rowid, conversation, text) VALUES (new.id, new.conversation, new.text);
END;

-- What is unread, and what was said last, without a walk through what was said.
CREATE INDEX message_unread ON message (conversation)
    WHERE shown = 0 AND own = 0 AND state IN ('received', 'unreadable');
CREATE INDEX message_by_conversation ON message (conversation, id) WHERE state <> 'not_shown';
CREATE INDEX message_dates ON message (conversation, timestamp) WHERE state <> 'not_shown';
CREATE INDEX message_mimi ON message (mimi_id) WHERE mimi_id IS NOT NULL;

-- The id that a file claims for a message brought in from it; NULL: it came through the server, or is ours.
-- Apart from mimi_id, so that no file keeps a true message of that id from being shown.
ALTER TABLE message ADD COLUMN imported BLOB;
CREATE UNIQUE INDEX message_imported ON message (conversation, imported) WHERE imported IS NOT NULL;

CREATE TABLE choice (                                   -- what was set for a conversation; no row: nothing was
    conversation    INTEGER PRIMARY KEY REFERENCES conversation (id) ON DELETE CASCADE,
    notify          TEXT NOT NULL DEFAULT 'all' CHECK (notify IN ('all', 'mentions', 'mute')),
    draft           TEXT NOT NULL DEFAULT ''            -- what was typed and not sent
) STRICT;

CREATE TABLE bookmark (
    message         INTEGER PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
    kept            INTEGER NOT NULL                    -- seconds since 1970
) STRICT;

CREATE TABLE verified (                                 -- whose key was compared outside the chat, and which it was
    user            TEXT PRIMARY KEY,
    account_key     BLOB NOT NULL,
    since           INTEGER NOT NULL                    -- seconds since 1970
) STRICT;
