-- Makes these rows ready again from their first attempt. One row for each that was given, in order: what was done, and
-- the worker that had it, where one had:
--   requeued   ready again
--   stolen     ready again, though somebody worked on it
--   claimed    left alone: one of our workers works on it, its lease has not ended
--   foreign    left alone: another program works on it
--   other      left alone: its status is none of ours
--   missing    there is no such row
-- $1 ids (array)  $2 true: take claimed ones too
WITH given AS (
    SELECT given.id, given.place
    FROM unnest(CAST($1 AS :id_type[])) WITH ORDINALITY AS given (id, place)
), found AS MATERIALIZED (
    SELECT q.:"id" AS id, q.:"worker" AS worker, q.:"status" AS status,
        COALESCE(starts_with(q.ocr_claim, q.:"worker" || '/') AND q.ocr_lease_until IS NOT NULL, false) AS is_ours,
        COALESCE(q.ocr_lease_until < now(), false) AS is_over
    FROM :"schema".:"queue" AS q
    WHERE q.:"id" = ANY (CAST($1 AS :id_type[]))
    ORDER BY q.:"id"
    FOR NO KEY UPDATE
), decided AS (
    SELECT found.id, found.worker, CASE
        WHEN found.status NOT IN (:ready, :claimed, :done, :failed) THEN 'other'
        WHEN found.status <> :claimed OR (found.is_ours AND found.is_over) THEN 'requeued'
        WHEN CAST($2 AS boolean) THEN 'stolen'
        WHEN found.is_ours THEN 'claimed'
        ELSE 'foreign' END AS outcome
    FROM found
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
    FROM decided
    WHERE q.:"id" = decided.id AND decided.outcome IN ('requeued', 'stolen')
)
SELECT COALESCE(decided.outcome, 'missing'), decided.worker
FROM given
LEFT JOIN decided ON decided.id = given.id
ORDER BY given.place;
