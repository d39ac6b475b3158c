-- Requests of new devices to be linked that this one has answered, an hour long: what was answered must outlive a
-- process, and a code that was tried once stays tried. The secret goes as soon as a request is over.
CREATE TABLE link_request (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    link BLOB NOT NULL UNIQUE,           -- the server's name for it
    commitment BLOB NOT NULL,
    secret BLOB NOT NULL,                -- of the X25519 key that answered; empty once it is over
    name TEXT NOT NULL,                  -- that we answered with
    answered INTEGER NOT NULL,           -- seconds since 1970, by our clock
    opened INTEGER NOT NULL,             -- the same, by the server's
    address TEXT NOT NULL,               -- where the server says that the new device is
    standing TEXT NOT NULL,              -- answered, revealed, matched, approved, over
    newcomer BLOB,                       -- what the new device revealed, encoded
    change BLOB,                         -- the account's next statement with its device, as it is sent
    sealed BLOB                          -- what the new device gets
) STRICT;

-- Devices of our account that were seen to ask: what they called themselves, and where from.
CREATE TABLE seen_device (
    client TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    seen INTEGER NOT NULL
) STRICT;
