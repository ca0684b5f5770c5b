-- An attempt failed: ready again after a while where attempts are left, else failed for good. The token stays, for
-- a worker whose connection broke and who asks whether this was done.
-- IS NOT DISTINCT FROM: the row is looked up by its id. With = the index of claims would do, and where an old snapshot
-- keeps dead rows every claim of its time stands there.
-- $1 id  $2 worker  $3 claim token  $4 ms until the next try (null: never)  $5 attempts allowed  $6 the error
UPDATE :"schema".:"queue" AS q
SET :"status" = CASE WHEN again.allowed THEN :ready ELSE :failed END,
    :"worker" = NULL,
    ocr_lease_until = NULL,
    ocr_not_before = CASE WHEN again.allowed AND again.delay_ms > 0
        THEN now() + again.delay_ms * interval '1 millisecond' END,
    ocr_completed_at = CASE WHEN NOT again.allowed THEN now() END,
    ocr_last_error_at = now(),
    ocr_error = left($6, 2000)
FROM (
    SELECT s.:"id" AS id, CAST($4 AS double precision) AS delay_ms,
        $4 IS NOT NULL AND s.ocr_attempts < COALESCE(s.ocr_max_attempts, CAST($5 AS integer)) AS allowed
    FROM :"schema".:"queue" AS s
    WHERE s.:"id" = CAST($1 AS :id_type)
) AS again
WHERE q.:"id" = again.id AND q.:"status" IS NOT DISTINCT FROM :claimed
    AND q.:"worker" = $2 AND q.ocr_claim = $3;
