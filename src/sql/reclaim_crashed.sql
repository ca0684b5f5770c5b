-- Claims of a child that crashed: the attempt counts, the reason is kept, and a row whose attempts are used up has
-- failed. Rows that somebody has locked are left for the next time.
-- $1 the claim token, or its beginning with its last slash  $2 reason  $3 attempts allowed  $4 as of reclaim_lost.sql
WITH crashed AS MATERIALIZED (
    SELECT q.:"id" AS id, q.ocr_attempts >= COALESCE(q.ocr_max_attempts, CAST($3 AS integer)) AS exhausted
    FROM :"schema".:"queue" AS q
    WHERE q.:"status" = :claimed AND q.ocr_lease_until IS NOT NULL
        AND COALESCE(q.ocr_started_at, 'infinity') >= CAST($4 AS timestamptz)
        AND starts_with(q.ocr_claim, q.:"worker" || '/')
        AND (q.ocr_claim = $1 OR (right($1, 1) = '/' AND starts_with(q.ocr_claim, $1)))
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE :"schema".:"queue" AS q
SET :"status" = CASE WHEN crashed.exhausted THEN :failed ELSE :ready END,
    :"worker" = NULL,
    ocr_claim = NULL,
    ocr_lease_until = NULL,
    ocr_not_before = NULL,
    ocr_completed_at = CASE WHEN crashed.exhausted THEN now() END,
    ocr_last_error_at = now(),
    ocr_error = left($2, 2000)
FROM crashed
WHERE q.:"id" = crashed.id;
