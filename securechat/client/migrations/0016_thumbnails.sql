-- A picture that is being sent has its thumbnail ready: made of what was sealed, it waits for the message.

ALTER TABLE sending_file ADD COLUMN thumbnail BLOB NOT NULL DEFAULT x'';
