-- Files that stay until their account lets go of them: its archive (docs/decisions/0019).
ALTER TABLE file ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
DROP INDEX file_created;
CREATE INDEX file_created ON file (created) WHERE going = 0 AND kept = 0;
CREATE INDEX file_kept ON file (account, total) WHERE kept = 1;
