-- When the last wrong password was that counted (seconds since 1970): a row of them ends after a day (A-06).
ALTER TABLE account ADD COLUMN failed_at INTEGER NOT NULL DEFAULT 0;
