-- Commits, proposals and GroupInfos count as what their clients have stored (client.stored).

-- Whose stored bytes the GroupInfo is; null where it came before it was counted.
ALTER TABLE epoch_state ADD COLUMN giver INTEGER REFERENCES client (id);

UPDATE client SET stored = stored + found.bytes FROM
    (SELECT client, sum(coalesce(size, length(body), 0)) AS bytes FROM entry WHERE kind != 'message'
     GROUP BY client) AS found
WHERE found.client = client.id;

-- Who began which group: nobody else's stay begins at entry 1.
CREATE INDEX member_created ON member (client) WHERE start = 1;
