-- What a kill may interrupt: a password that is being changed, an account that is being brought back.

CREATE TABLE password_change (                          -- from before it is sent until nothing of it is left to do
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    request         BLOB NOT NULL,                      -- as it is sent; the same bytes again find themselves done
    statement       BLOB NOT NULL,
    login_salt      BLOB NOT NULL,
    account_key_sealed BLOB NOT NULL,                   -- under the new password
    file_salt       BLOB NOT NULL,                      -- of the account file that waits beside the present one
    done            INTEGER NOT NULL DEFAULT 0          -- 1: the server has it, and so has the profile
) STRICT;

CREATE TABLE recovering (                               -- the device is made, and the server's answer is not here yet
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    request         BLOB NOT NULL
) STRICT;

-- The recovery key of an account that is being registered: until it is shown. Empty: none.
ALTER TABLE profile ADD COLUMN recovery_key TEXT NOT NULL DEFAULT '';
-- What the account began with, as the server has it: sealed, and public. Empty: nothing.
ALTER TABLE profile ADD COLUMN first_vault BLOB NOT NULL DEFAULT x'';
ALTER TABLE profile ADD COLUMN recovery_public BLOB NOT NULL DEFAULT x'';

CREATE TABLE group_anchor (                             -- of a group to be entered anew: where it stood when it was left
    conversation    INTEGER PRIMARY KEY REFERENCES conversation (id) ON DELETE CASCADE,
    epoch           INTEGER NOT NULL,
    transcript      BLOB NOT NULL                       -- its confirmed transcript hash
) STRICT;
