-- Gives an unused claim back: ready at once, and the attempt does not count.
-- $1 id  $2 worker  $3 claim token
UPDATE :"schema".:"queue" AS q
SET :"status" = :ready,
    :"worker" = NULL,
    ocr_claim = NULL,
    ocr_lease_until = NULL,
    ocr_not_before = NULL,
    ocr_attempts = GREATEST(q.ocr_attempts - 1, 0)
WHERE q.:"id" = CAST($1 AS :id_type) AND q.:"status" = :claimed AND q.:"worker" = $2 AND q.ocr_claim = $3;
