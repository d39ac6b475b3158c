-- A group's public state (tree, policy) counts as what the client that began it has stored.

CREATE INDEX member_creator ON member (conversation) WHERE start = 1;

UPDATE client SET stored = stored + found.bytes FROM
    (SELECT m.client, sum(length(s.public_state) + coalesce(
        (SELECT sum(length(t.body)) FROM tree_node t
         WHERE t.conversation = s.conversation AND t.until IS NULL), 0)) AS bytes
     FROM epoch_state s JOIN member m ON m.conversation = s.conversation AND m.start = 1
     GROUP BY m.client) AS found
WHERE found.client = client.id;
