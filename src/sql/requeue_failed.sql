-- Makes one batch of our failed rows ready again from their first attempt. Rows that failed after $2 stay: they may
-- be some that this very command made ready.
-- $1 sources (array)  $2 failed before  $3 part of the error (null: any)  $4 at most
WITH batch AS MATERIALIZED (
    SELECT one.id
    FROM unnest(CAST($1 AS text[])) AS ours (source)
    CROSS JOIN LATERAL (
        SELECT q.:"id" AS id
        FROM :"schema".:"queue" AS q
        WHERE q.:"status" = :failed AND q.:"source" = ours.source
            AND (q.ocr_last_error_at IS NULL OR q.ocr_last_error_at <= CAST($2 AS timestamptz))
            AND (CAST($3 AS text) IS NULL OR strpos(q.ocr_error, $3) > 0)
        ORDER BY q.ocr_last_error_at, q.:"id"
        LIMIT CAST($4 AS bigint)
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS one
    LIMIT CAST($4 AS bigint)
)
UPDATE :"schema".:"queue" AS q
SET :"status" = :ready,
    :"worker" = NULL,
    ocr_claim = NULL,
    ocr_attempts = 0,
    ocr_losses = 0,
    ocr_lease_until = NULL,
    ocr_not_before = NULL,
    ocr_completed_at = NULL,
    ocr_last_error_at = NULL,
    ocr_error = NULL
FROM batch
WHERE q.:"id" = batch.id;
