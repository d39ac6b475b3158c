-- What is wrong with what the server shows of accounts (a hold's code, empty for nothing, since when in seconds
-- since 1970), and the serial of a statement that is there as somebody says, and was not shown to us yet.
CREATE TABLE account_news (
    user TEXT PRIMARY KEY,
    trouble TEXT NOT NULL DEFAULT '',
    expected INTEGER NOT NULL DEFAULT 0,
    since INTEGER NOT NULL DEFAULT 0
) STRICT;
