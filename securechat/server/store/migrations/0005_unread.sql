-- Where messages of a client expired before every member of another account had them: told to that
-- client (server/unread.py). Each row is a run of places: what it sent from "first" to "last" was unread.

CREATE TABLE unread (
    client INTEGER NOT NULL REFERENCES client (id),
    conversation INTEGER NOT NULL REFERENCES conversation (id),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (client, conversation, first)
) WITHOUT ROWID;
CREATE INDEX unread_time ON unread (time);
