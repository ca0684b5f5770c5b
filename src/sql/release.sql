-- Gives an unused claim back: the attempt does not count. Ready at once, or after a while where something stood in
-- the way that may not stand in the way of others.
-- IS NOT DISTINCT FROM: the row is looked up by its id. With = the index of claims would do, and where an old snapshot
-- keeps dead rows every claim of its time stands there.
-- $1 id  $2 worker  $3 claim token  $4 ms until it is ready (null: at once)  $5 what stood in the way (null: nothing)
UPDATE :"schema".:"queue" AS q
SET :"status" = :ready,
    :"worker" = NULL,
    ocr_claim = NULL,
    ocr_lease_until = NULL,
    ocr_not_before = CASE WHEN CAST($4 AS double precision) > 0
        THEN now() + CAST($4 AS double precision) * interval '1 millisecond' END,
    ocr_attempts = GREATEST(q.ocr_attempts - 1, 0),
    ocr_last_error_at = CASE WHEN CAST($5 AS text) IS NULL THEN q.ocr_last_error_at ELSE now() END,
    ocr_error = COALESCE(left($5, 2000), q.ocr_error)
WHERE q.:"id" = CAST($1 AS :id_type) AND q.:"status" IS NOT DISTINCT FROM :claimed
    AND q.:"worker" = $2 AND q.ocr_claim = $3;
