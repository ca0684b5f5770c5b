-- Makes these rows ready again from their first attempt: how many, and how many were left alone because somebody
-- works on them (a lease that has not ended, or another program's claim). Rows that are not for us stay.
-- $1 ids (array)  $2 true: take claimed ones too
WITH asked AS MATERIALIZED (
    SELECT q.:"id" AS id,
        q.:"status" = :claimed AND NOT CAST($2 AS boolean) AND NOT COALESCE(
            starts_with(q.ocr_claim, q.:"worker" || '/') AND q.ocr_lease_until < now(), false) AS is_busy
    FROM :"schema".:"queue" AS q
    WHERE q.:"id" = ANY (CAST($1 AS :id_type[])) AND q.:"status" IN (:ready, :claimed, :done, :failed)
    ORDER BY q.:"id"
    FOR NO KEY UPDATE
), requeued AS (
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
    FROM asked
    WHERE q.:"id" = asked.id AND NOT asked.is_busy
)
SELECT count(*) FILTER (WHERE NOT is_busy), count(*) FILTER (WHERE is_busy) FROM asked;
