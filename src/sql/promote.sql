-- Rows of our sources whose time has come become ready, at most $2 at once: how many, and ms until the next one's
-- time (null: none waits).
-- $1 sources (array)  $2 at most
WITH due AS MATERIALIZED (
    SELECT one.id
    FROM unnest(CAST($1 AS text[])) AS ours (source)
    CROSS JOIN LATERAL (
        SELECT q.:"id" AS id
        FROM :"schema".:"queue" AS q
        WHERE q.:"status" = :ready AND q.ocr_not_before IS NOT NULL AND q.ocr_not_before <= now()
            AND q.:"source" = ours.source
        ORDER BY q.ocr_not_before
        LIMIT CAST($2 AS bigint)
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS one
    LIMIT CAST($2 AS bigint)
), promoted AS (
    UPDATE :"schema".:"queue" AS q SET ocr_not_before = NULL FROM due WHERE q.:"id" = due.id
)
SELECT (SELECT count(*) FROM due),
    (SELECT min(CASE WHEN isfinite(head.not_before)
            THEN CAST(extract(epoch FROM head.not_before - now()) * 1000 AS bigint) ELSE 0 END)
        FROM unnest(CAST($1 AS text[])) AS ours (source)
        CROSS JOIN LATERAL (
            SELECT q.ocr_not_before AS not_before
            FROM :"schema".:"queue" AS q
            WHERE q.:"status" = :ready AND q.ocr_not_before < 'infinity' AND q.:"source" = ours.source
                AND q.:"id" NOT IN (SELECT due.id FROM due)
            ORDER BY q.ocr_not_before
            LIMIT 1
        ) AS head);
