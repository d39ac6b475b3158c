-- A change of a message that is not here has a line of its own until that message comes.
CREATE INDEX message_early ON message (conversation, about) WHERE kind = 'early';
