-- Claims whose worker was lost through no fault of the document: the attempt does not count, the loss does, and at
-- the tenth the row has failed. Rows that somebody has locked are left for the next time.
-- $1 which claims: 'prefix' = those whose token begins with $2; 'daemon' = those of the daemon $2;
--    'expired' = those of any other daemon whose lease has ended
-- $2 see $1  $3 reason  $4 lower bound of the claims' start: an index entry below it is a dead one
WITH lost AS MATERIALIZED (
    SELECT q.:"id" AS id, LEAST(COALESCE(q.ocr_losses, 0), 99) + 1 AS losses
    FROM :"schema".:"queue" AS q
    WHERE q.:"status" = :claimed AND q.ocr_lease_until IS NOT NULL
        AND COALESCE(q.ocr_started_at, 'infinity') >= CAST($4 AS timestamptz)
        AND starts_with(q.ocr_claim, q.:"worker" || '/')
        AND CASE $1
            WHEN 'prefix' THEN starts_with(q.ocr_claim, $2)
            WHEN 'daemon' THEN split_part(q.ocr_claim, '/', 2) = $2
            WHEN 'expired' THEN split_part(q.ocr_claim, '/', 2) <> $2 AND q.ocr_lease_until < now()
        END
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE :"schema".:"queue" AS q
SET :"status" = CASE WHEN lost.losses >= 10 THEN :failed ELSE :ready END,
    :"worker" = NULL,
    ocr_claim = NULL,
    ocr_lease_until = NULL,
    ocr_not_before = NULL,
    ocr_attempts = GREATEST(q.ocr_attempts - 1, 0),
    ocr_losses = lost.losses,
    ocr_completed_at = CASE WHEN lost.losses >= 10 THEN now() END,
    ocr_last_error_at = CASE WHEN lost.losses >= 10 THEN now() ELSE q.ocr_last_error_at END,
    ocr_error = CASE WHEN lost.losses >= 10
        THEN left('lost its worker ' || lost.losses || ' times, the last time: ' || $3, 2000) ELSE q.ocr_error END
FROM lost
WHERE q.:"id" = lost.id;
