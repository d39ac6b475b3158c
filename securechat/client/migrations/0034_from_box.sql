-- Whether the pinned key of a contact is what the account knew when it was brought back: not one that was first
-- met since.
ALTER TABLE contact ADD COLUMN from_box INTEGER NOT NULL DEFAULT 0;
