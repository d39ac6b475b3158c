-- A conversation may be on hold for several reasons; each is settled by its own means.

CREATE TABLE hold (
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    code            TEXT NOT NULL,
    text            TEXT NOT NULL,                      -- as it was told
    since           INTEGER NOT NULL,                   -- seconds since 1970; 0: not known
    PRIMARY KEY (conversation, code)
) STRICT, WITHOUT ROWID;

-- "held_code" and "held_text" of a conversation are those of its most serious hold.
INSERT INTO hold (conversation, code, text, since)
    SELECT id, held_code, held_text, coalesce(
        (SELECT max(m.timestamp) FROM message m WHERE m.conversation = conversation.id
            AND m.code = held_code AND m.state = 'not_shown' AND m.mimi_id IS NULL), 0)
    FROM conversation WHERE held_code <> '';
