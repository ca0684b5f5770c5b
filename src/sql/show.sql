-- One row with its bookkeeping and its stored pages as an object, and why nobody claims it, as far as the row says so.
-- Ready rows that come before it are counted to 1,001.
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
    'leaseMs', CAST(extract(epoch FROM q.ocr_lease_until - now()) * 1000 AS bigint),
    'notBefore', q.ocr_not_before,
    'notBeforeMs', CASE WHEN isfinite(q.ocr_not_before)
        THEN CAST(extract(epoch FROM q.ocr_not_before - now()) * 1000 AS bigint) END,
    'lastErrorAt', q.ocr_last_error_at,
    'error', q.ocr_error,
    'checkpoints', (SELECT json_build_object(
            'pages', COALESCE(json_agg(p.page ORDER BY p.page), '[]'),
            'tokens', COALESCE(sum(p.tokens), 0),
            'keys', count(DISTINCT p.key),
            'oldestAt', min(p.created_at),
            'newestAt', max(p.created_at))
        FROM :"pages_schema".:"pages" AS p WHERE p.queue_id = q.:"id"),
    'contentBytes', octet_length(CAST(q.:"content" AS text)),
    'before', CASE WHEN q.:"status" = :ready AND q.:"worker" IS NULL AND q.ocr_not_before IS NULL THEN (
        SELECT count(*)
        FROM (
            SELECT FROM :"schema".:"queue" AS o
            WHERE o.:"source" = ANY (CAST($2 AS text[])) AND o.:"status" = :ready AND o.:"worker" IS NULL
                AND o.ocr_not_before IS NULL AND (o.:"created", o.:"id") < (q.:"created", q.:"id")
            LIMIT 1001
        ) AS earlier) END,
    'notClaimedBecause', CASE
        WHEN q.:"status" = :claimed AND is_ours.yes AND q.ocr_lease_until >= now() THEN 'it is being read'
        WHEN q.:"status" = :claimed AND is_ours.yes THEN 'its worker is lost and its lease has ended; it will be taken back'
        WHEN q.:"status" = :claimed THEN 'another program has claimed it'
        WHEN q.:"status" = :done THEN 'it is done'
        WHEN q.:"status" = :failed THEN 'it has failed for good; requeue it to try again'
        WHEN q.:"status" <> :ready THEN 'its status is not one that indexocr claims'
        WHEN q.:"source" <> ALL (CAST($2 AS text[])) THEN 'its source is not in queue.sources'
        WHEN q.:"worker" IS NOT NULL THEN 'it is ready but still has a worker; set that to null, or requeue it'
        WHEN q.ocr_not_before > now() THEN 'it waits for its next attempt'
        WHEN q.ocr_not_before IS NOT NULL THEN 'its time has come; the keeper makes it ready'
    END)
FROM :"schema".:"queue" AS q
CROSS JOIN LATERAL (
    SELECT COALESCE(starts_with(q.ocr_claim, q.:"worker" || '/') AND q.ocr_lease_until IS NOT NULL, false) AS yes
) AS is_ours
WHERE q.:"id" = CAST($1 AS :id_type);
