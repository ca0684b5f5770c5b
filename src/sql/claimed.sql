-- The row that stands claimed under this token: asked after a claim whose answer was lost. Columns as claim.sql.
-- $1 claim token  $2 attempts allowed
SELECT q.:"id", left(q.:"source", 200), left(q.:"number", 1000), left(q.:"path", 4000), q.ocr_attempts,
    COALESCE(q.ocr_max_attempts, CAST($2 AS integer)),
    CASE WHEN isfinite(q.:"created")
        THEN CAST(extract(epoch FROM q.ocr_started_at - q.:"created") * 1000 AS bigint) END
FROM :"schema".:"queue" AS q
WHERE q.:"status" = :claimed AND q.ocr_claim = $1;
