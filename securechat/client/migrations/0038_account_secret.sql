-- The account's secret is made anew once a device is gone (docs/decisions/0022). The newest is in the profile.
CREATE TABLE older_secret (                 -- what boxes and archive were sealed under before
    place   INTEGER PRIMARY KEY,            -- 0: the newest of them
    secret  BLOB NOT NULL UNIQUE
) STRICT;
ALTER TABLE profile ADD COLUMN secret_generation INTEGER NOT NULL DEFAULT 0;   -- for which the newest was made; 0: not known
ALTER TABLE profile ADD COLUMN secret_serial INTEGER NOT NULL DEFAULT 0;       -- of our statement for which it was seen to
