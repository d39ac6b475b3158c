-- Who this profile is. One row, written before Register is sent, so that a lost answer costs nothing:
-- the repeat sends the same keys (rules.md B).
CREATE TABLE profile (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    user TEXT NOT NULL,
    client TEXT NOT NULL,                -- local part of the client's URI, random
    domain TEXT NOT NULL,                -- the server's, fixed for its life
    server_host TEXT NOT NULL,
    server_port INTEGER NOT NULL,
    server_key BLOB NOT NULL,            -- the server's identity key (Ed25519, public)
    login_salt BLOB NOT NULL,            -- 16 random bytes of the password's stretching, also kept by the server
    device_key BLOB NOT NULL,            -- Ed25519 seed: signs this client's leaves and its logins
    account_key BLOB NOT NULL,           -- Ed25519, public
    account_key_sealed BLOB NOT NULL,    -- nonce || AEAD under the vault key: opened by the password only
    credential BLOB NOT NULL,            -- ClientCredential, signed by the account key
    statement BLOB NOT NULL,             -- AccountStatement, serial 0
    registered INTEGER NOT NULL DEFAULT 0 CHECK (registered IN (0, 1))
) STRICT;
