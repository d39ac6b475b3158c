-- Whose words are: a user's name is what a server gives out, an account key is not. What stands under a name stays
-- with the key that said it.

-- The account key of the device that said it; empty: of before this was kept, or nobody's.
ALTER TABLE message ADD COLUMN account_key BLOB NOT NULL DEFAULT x'';
UPDATE message SET account_key = coalesce((SELECT account_key FROM contact WHERE user = sender), x'')
    WHERE own = 0 AND verified = 'known' AND imported IS NULL AND mimi_id IS NOT NULL;
ALTER TABLE reaction ADD COLUMN account_key BLOB NOT NULL DEFAULT x'';
ALTER TABLE vote ADD COLUMN account_key BLOB NOT NULL DEFAULT x'';

-- Two keys of one name wait each for itself.
ALTER TABLE early_change RENAME TO early_change_before;
CREATE TABLE early_change (                             -- a change of a message that is not here yet: the last of each
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation    INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    target          BLOB NOT NULL,
    sender          TEXT NOT NULL,
    account_key     BLOB NOT NULL,
    mimi_id         BLOB NOT NULL,
    content         BLOB NOT NULL,
    timestamp       INTEGER NOT NULL,
    withdraws       INTEGER NOT NULL,
    UNIQUE (conversation, target, sender, account_key)
) STRICT;
INSERT INTO early_change (id, conversation, target, sender, account_key, mimi_id, content, timestamp, withdraws)
    SELECT id, conversation, target, sender, x'', mimi_id, content, timestamp, withdraws FROM early_change_before;
DROP TABLE early_change_before;
CREATE INDEX early_change_sender ON early_change (conversation, sender, id);
