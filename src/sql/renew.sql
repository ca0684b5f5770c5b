-- Renews leases: one row for each that was given, in order, saying whether the claim still stands, and whether it
-- was renewed. A row that somebody has locked stands and is left for the next time: one operator's open transaction
-- must not hold up all leases.
-- IS NOT DISTINCT FROM: the row is looked up by its id. With = the index of claims would do, and where an old snapshot
-- keeps dead rows every claim of its time stands there.
-- $1 ids (array)  $2 claim tokens (array)  $3 lease in ms
WITH lease AS (
    SELECT given.id, given.token, given.place
    FROM unnest(CAST($1 AS :id_type[]), CAST($2 AS text[])) WITH ORDINALITY AS given (id, token, place)
), standing AS (
    SELECT lease.place
    FROM lease
    JOIN :"schema".:"queue" AS q ON q.:"id" = lease.id
    WHERE q.:"status" IS NOT DISTINCT FROM :claimed AND q.ocr_claim = lease.token
        AND starts_with(q.ocr_claim, q.:"worker" || '/')
), free AS MATERIALIZED (
    SELECT q.:"id" AS id, lease.place
    FROM lease
    JOIN :"schema".:"queue" AS q ON q.:"id" = lease.id
    WHERE q.:"status" IS NOT DISTINCT FROM :claimed AND q.ocr_claim = lease.token
        AND starts_with(q.ocr_claim, q.:"worker" || '/')
    FOR NO KEY UPDATE OF q SKIP LOCKED
), renewed AS (
    UPDATE :"schema".:"queue" AS q
    SET ocr_lease_until = now() + CAST($3 AS double precision) * interval '1 millisecond'
    FROM free
    WHERE q.:"id" = free.id
)
SELECT EXISTS (SELECT FROM standing WHERE standing.place = lease.place),
    EXISTS (SELECT FROM free WHERE free.place = lease.place)
FROM lease
ORDER BY lease.place;
