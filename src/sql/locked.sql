-- Has somebody this row locked? No row then: an open transaction, which every claim passes over.
-- $1 id
SELECT
FROM :"schema".:"queue" AS q
WHERE q.:"id" = CAST($1 AS :id_type)
FOR NO KEY UPDATE SKIP LOCKED;
