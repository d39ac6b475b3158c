-- When a password was last changed (seconds since 1970; 0: never), for devices that were not there (A-09).
ALTER TABLE account ADD COLUMN password_changed INTEGER NOT NULL DEFAULT 0;
