-- Stores pages while the claim stands: one row that says whether it did (1) or not (0). The row is locked so that
-- nobody takes the claim away in between.
-- IS NOT DISTINCT FROM: the row is looked up by its id. With = the index of claims would do, and where an old snapshot
-- keeps dead rows every claim of its time stands there.
-- $1 id  $2 worker  $3 claim token  $4 page key  $5 pages: [{"page": n, "result": {...}, "tokens": n}]
WITH claim AS MATERIALIZED (
    SELECT q.:"id" AS id
    FROM :"schema".:"queue" AS q
    WHERE q.:"id" = CAST($1 AS :id_type) AND q.:"status" IS NOT DISTINCT FROM :claimed
        AND q.:"worker" = $2 AND q.ocr_claim = $3
    FOR SHARE
), stored AS (
    INSERT INTO :"pages_schema".:"pages" (queue_id, page, key, result, tokens)
    SELECT claim.id, given.page, $4, given.result, COALESCE(given.tokens, 0)
    FROM claim
    CROSS JOIN jsonb_to_recordset(CAST($5 AS jsonb)) AS given (page integer, result jsonb, tokens bigint)
    ON CONFLICT (queue_id, page) DO UPDATE
    SET key = excluded.key, result = excluded.result, tokens = excluded.tokens, created_at = now()
)
SELECT count(*) FROM claim;
