-- How many devices the statement lists; 0 in one that was taken before this was counted.
ALTER TABLE statement ADD COLUMN devices INTEGER NOT NULL DEFAULT 0;
