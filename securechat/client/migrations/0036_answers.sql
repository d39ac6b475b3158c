-- What may be voted for is found as the question is. It stands beside the text, which is what is shown.
ALTER TABLE message ADD COLUMN answers TEXT NOT NULL DEFAULT '';

DROP TRIGGER message_words_new;
DROP TRIGGER message_words_gone;
DROP TRIGGER message_words_off;
DROP TRIGGER message_words_on;
DROP VIEW message_said;
CREATE VIEW message_said AS
    SELECT id, conversation, text || char(10) || answers AS text FROM message WHERE text <> '';

-- In this order, in one trigger: answers that were set by another might be in the index before their message is.
CREATE TRIGGER message_words_new AFTER INSERT ON message WHEN new.text <> '' BEGIN
    INSERT INTO message_words (rowid, conversation, text)
        VALUES (new.id, new.conversation, new.text || char(10) || new.answers);
    UPDATE message SET answers = poll_answers(content, imported IS NOT NULL)
        WHERE id = new.id AND (kind = 'poll' OR imported IS NOT NULL AND instr(content, x'22706F6C6C223A7B') > 0);
END;
CREATE TRIGGER message_words_gone AFTER DELETE ON message WHEN old.text <> '' BEGIN
    INSERT INTO message_words (message_words, rowid, conversation, text)
        VALUES ('delete', old.id, old.conversation, old.text || char(10) || old.answers);
END;
CREATE TRIGGER message_words_off AFTER UPDATE OF id, conversation, text, answers ON message
WHEN old.text <> '' BEGIN
    INSERT INTO message_words (message_words, rowid, conversation, text)
        VALUES ('delete', old.id, old.conversation, old.text || char(10) || old.answers);
END;
CREATE TRIGGER message_words_on AFTER UPDATE OF id, conversation, text, answers ON message
WHEN new.text <> '' BEGIN
    INSERT INTO message_words (rowid, conversation, text)
        VALUES (new.id, new.conversation, new.text || char(10) || new.answers);
END;

UPDATE message SET answers = poll_answers(content, imported IS NOT NULL)
    WHERE text <> '' AND (kind = 'poll' OR imported IS NOT NULL AND instr(content, x'22706F6C6C223A7B') > 0);
