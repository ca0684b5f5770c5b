-- One row with its bookkeeping as an object, and why nobody claims it, where nobody does.
-- $1 id  $2 sources (array)  $3 attempts allowed
SELECT json_build_object(
    'id', CAST(q.:"id" AS text),
    'source', q.:"source",
    'documentNumber', q.:"number",
    'path', q.:"path",
    'statusId', q.:"status",
    'status', CASE q.:"status" WHEN :ready THEN 'ready' WHEN :claimed THEN 'claimed' WHEN :done THEN 'done'
        WHEN :failed THEN 'failed' ELSE 'other' END,
    'worker', q.:"worker",
    'claim', q.ocr_claim,
    'foreign', q.:"status" = :claimed AND NOT is_ours.yes,
    'attempts', COALESCE(q.ocr_attempts, 0),
    'maxAttempts', COALESCE(q.ocr_max_attempts, CAST($3 AS integer)),
    'losses', COALESCE(q.ocr_losses, 0),
    'createdAt', q.:"created",
    'startedAt', q.ocr_started_at,
    'completedAt', q.ocr_completed_at,
    'leaseUntil', q.ocr_lease_until,
    'notBefore', q.ocr_not_before,
    'lastErrorAt', q.ocr_last_error_at,
    'error', q.ocr_error,
    'pagesStored', (SELECT count(*) FROM :"pages_schema".:"pages" AS p WHERE p.queue_id = q.:"id"),
    'contentBytes', octet_length(CAST(q.:"content" AS text)),
    'notClaimedBecause', CASE
        WHEN q.:"status" = :claimed AND is_ours.yes AND q.ocr_lease_until >= now() THEN 'it is being read'
        WHEN q.:"status" = :claimed AND is_ours.yes THEN 'its worker is lost and its lease has ended; it will be taken back'
        WHEN q.:"status" = :claimed THEN 'another program has claimed it'
        WHEN q.:"status" = :done THEN 'it is done'
        WHEN q.:"status" = :failed THEN 'it has failed for good; requeue it to try again'
        WHEN q.:"status" <> :ready THEN 'its status is not one that indexocr claims'
        WHEN q.:"source" <> ALL (CAST($2 AS text[])) THEN 'its source is not in queue.sources'
        WHEN q.:"worker" IS NOT NULL THEN 'it is ready but still has a worker; set that to null'
        WHEN q.ocr_not_before > now() THEN 'it waits for its next attempt'
        WHEN q.ocr_not_before IS NOT NULL THEN 'its time has come; the keeper makes it ready'
    END)
FROM :"schema".:"queue" AS q
CROSS JOIN LATERAL (
    SELECT COALESCE(starts_with(q.ocr_claim, q.:"worker" || '/') AND q.ocr_lease_until IS NOT NULL, false) AS yes
) AS is_ours
WHERE q.:"id" = CAST($1 AS :id_type);
