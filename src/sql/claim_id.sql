-- Takes this row if it is ready, waits for its time or has failed; any source. Otherwise as claim.sql.
-- $1 id  $2 worker  $3 claim token  $4 lease in ms  $5 attempts allowed
WITH asked AS MATERIALIZED (
    SELECT q.:"id" AS id,
        q.ocr_completed_at IS NOT NULL
            OR q.ocr_attempts >= COALESCE(q.ocr_max_attempts, CAST($5 AS integer)) AS afresh
    FROM :"schema".:"queue" AS q
    WHERE q.:"id" = CAST($1 AS :id_type) AND q.:"status" IN (:ready, :failed) AND q.:"worker" IS NULL
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE :"schema".:"queue" AS q
SET :"status" = :claimed,
    :"worker" = $2,
    ocr_claim = $3,
    ocr_started_at = now(),
    ocr_completed_at = NULL,
    ocr_not_before = NULL,
    ocr_lease_until = now() + CAST($4 AS double precision) * interval '1 millisecond',
    ocr_attempts = CASE WHEN asked.afresh THEN 1 ELSE COALESCE(q.ocr_attempts, 0) + 1 END,
    ocr_losses = CASE WHEN asked.afresh THEN 0 ELSE COALESCE(q.ocr_losses, 0) END
FROM asked
WHERE q.:"id" = asked.id
RETURNING q.:"id", left(q.:"source", 200), left(q.:"number", 1000), left(q.:"path", 4000), q.ocr_attempts,
    COALESCE(q.ocr_max_attempts, CAST($5 AS integer)),
    CASE WHEN isfinite(q.:"created")
        THEN CAST(extract(epoch FROM now() - q.:"created") * 1000 AS bigint) END;
