-- How long messages stay by the log, in seconds; expires_after may be ours, on its way there.
ALTER TABLE conversation ADD COLUMN timer_in_log INTEGER NOT NULL DEFAULT 0;
UPDATE conversation SET timer_in_log = expires_after;
