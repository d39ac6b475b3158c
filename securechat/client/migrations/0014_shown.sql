-- What has a line of its own is told by "hidden" since 0013; indexes of before asked for the state.

DROP INDEX message_by_conversation;                     -- message_timeline has it
DROP INDEX message_dates;
CREATE INDEX message_dates ON message (conversation, timestamp) WHERE hidden = 0;
DROP INDEX message_unread;
CREATE INDEX message_unread ON message (conversation, mentions_me)
    WHERE shown = 0 AND own = 0 AND state IN ('received', 'unreadable');
CREATE INDEX message_mentions ON message (id) WHERE mentions_me = 1 AND own = 0;
