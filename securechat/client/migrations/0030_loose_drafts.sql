-- What was begun for a conversation that does not exist yet. When it comes to be, the draft is its own.

CREATE TABLE loose_draft (
    name            TEXT PRIMARY KEY,                   -- @user or #room
    draft           TEXT NOT NULL
) STRICT;

CREATE TRIGGER loose_draft_found AFTER INSERT ON conversation
    WHEN EXISTS (SELECT 1 FROM loose_draft WHERE name = new.name) BEGIN
    INSERT INTO choice (conversation, draft) SELECT new.id, draft FROM loose_draft WHERE name = new.name;
    DELETE FROM loose_draft WHERE name = new.name;
END;
