-- Groups that a ReInit has closed, and what they go on as: that id is for who goes on, and for nobody else.
CREATE TABLE succession (
    conversation INTEGER PRIMARY KEY REFERENCES conversation (id),
    group_id BLOB NOT NULL UNIQUE,
    reinit BLOB NOT NULL
) STRICT;
