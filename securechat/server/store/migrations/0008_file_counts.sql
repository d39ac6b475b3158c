-- What lies here of each account's attachments, kept in step by the database itself, so that no beginning of a
-- file has to add up those there are. Account 0 is everybody.
CREATE TABLE files_of (
    account INTEGER PRIMARY KEY,
    count INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0, -- each counts 64 KiB at least: attachment_rows.LEAST_BYTES
    open INTEGER NOT NULL DEFAULT 0, -- that are being uploaded
    missing INTEGER NOT NULL DEFAULT 0 -- bytes of those that have not come yet
);
CREATE TRIGGER file_comes AFTER INSERT ON file BEGIN
    INSERT INTO files_of (account) VALUES (new.account) ON CONFLICT DO NOTHING;
    UPDATE files_of SET count = count + 1, bytes = bytes + max(new.total, 65536),
        open = open + (new.going = 0 AND new.synced < new.total),
        missing = missing + (new.going = 0) * (new.total - new.synced)
    WHERE account IN (0, new.account);
END;
CREATE TRIGGER file_moves AFTER UPDATE OF synced, going ON file BEGIN
    UPDATE files_of SET
        open = open + (new.going = 0 AND new.synced < new.total) - (old.going = 0 AND old.synced < old.total),
        missing = missing + (new.going = 0) * (new.total - new.synced) - (old.going = 0) * (old.total - old.synced)
    WHERE account IN (0, new.account);
END;
CREATE TRIGGER file_goes AFTER DELETE ON file BEGIN
    UPDATE files_of SET count = count - 1, bytes = bytes - max(old.total, 65536),
        open = open - (old.going = 0 AND old.synced < old.total),
        missing = missing - (old.going = 0) * (old.total - old.synced)
    WHERE account IN (0, old.account);
END;
INSERT INTO files_of
SELECT 0, count(*), coalesce(sum(max(total, 65536)), 0), count(*) FILTER (WHERE going = 0 AND synced < total),
    coalesce(sum(total - synced) FILTER (WHERE going = 0), 0) FROM file;
INSERT INTO files_of
SELECT account, count(*), sum(max(total, 65536)), count(*) FILTER (WHERE going = 0 AND synced < total),
    coalesce(sum(total - synced) FILTER (WHERE going = 0), 0) FROM file GROUP BY account;
-- What goes of one account, one step after the other; and for its foreign key.
DROP INDEX file_of_account;
CREATE INDEX file_of_account ON file (account, going);
