-- Polls that take no more votes, and what of our votes the log has.

-- The place in the log from which on votes do not count; 0: it is open, -1: we closed it, the place is not known yet.
ALTER TABLE message ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;
-- As numbers: what counts by the log. Ours may still be on its way there.
ALTER TABLE vote ADD COLUMN placed BLOB NOT NULL DEFAULT x'';
UPDATE vote SET placed = numbers;
