-- As claim.sql, for one source: planned in half the time.
-- $1 source  $2 worker  $3 claim token  $4 lease in ms  $5 attempts allowed  $6 lower bound of created
UPDATE :"schema".:"queue" AS q
SET :"status" = :claimed,
    :"worker" = $2,
    ocr_claim = $3,
    ocr_started_at = now(),
    ocr_completed_at = NULL,
    ocr_lease_until = now() + CAST($4 AS double precision) * interval '1 millisecond',
    ocr_attempts = CASE WHEN q.ocr_completed_at IS NULL
        AND COALESCE(q.ocr_attempts, 0) < COALESCE(q.ocr_max_attempts, CAST($5 AS integer))
        THEN COALESCE(q.ocr_attempts, 0) + 1 ELSE 1 END,
    ocr_losses = CASE WHEN q.ocr_completed_at IS NULL
        AND COALESCE(q.ocr_attempts, 0) < COALESCE(q.ocr_max_attempts, CAST($5 AS integer))
        THEN COALESCE(q.ocr_losses, 0) ELSE 0 END
WHERE q.:"id" = (
    SELECT s.:"id"
    FROM :"schema".:"queue" AS s
    WHERE s.:"source" = $1 AND s.:"status" = :ready AND s.:"worker" IS NULL
        AND s.ocr_not_before IS NULL AND s.:"created" >= CAST($6 AS timestamptz)
    ORDER BY s.:"created", s.:"id"
    LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING q.:"id", left(q.:"source", 200), left(q.:"number", 1000), left(q.:"path", 4000), q.ocr_attempts,
    COALESCE(q.ocr_max_attempts, CAST($5 AS integer)),
    CASE WHEN isfinite(q.:"created")
        THEN CAST(extract(epoch FROM now() - q.:"created") * 1000 AS bigint) END;
