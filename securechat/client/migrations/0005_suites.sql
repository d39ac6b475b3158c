-- Key packages of several cipher suites; those of before are of suite 3.

ALTER TABLE key_package ADD COLUMN suite INTEGER NOT NULL DEFAULT 3;
