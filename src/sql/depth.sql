-- How much waits: ready, waiting for their time, claimed by us, foreign claims, failed; each counted to $2 at most.
-- Then the age in ms of the oldest ready row (null: none); a lower bound for the creation of what is ready, and of
-- what becomes ready without having waited (null: none); ms until the first that waits is due (null: none waits); a
-- lower bound for the start of every claim with a lease, also of those made from now on (null: none).
-- Counts are ordered walks along an index, one for each source, so that the limit bounds the rows looked at, too,
-- however many other sources have. Claims are as few as workers.
-- $1 sources (array)  $2 count at most
WITH claim AS (
    SELECT q.:"source" = ANY (CAST($1 AS text[])) AS is_asked_for, q.ocr_started_at AS started,
        COALESCE(starts_with(q.ocr_claim, q.:"worker" || '/') AND q.ocr_lease_until IS NOT NULL, false) AS is_ours
    FROM :"schema".:"queue" AS q
    WHERE q.:"status" = :claimed
    LIMIT CAST($2 AS bigint)
), started AS (
    SELECT CASE WHEN count(*) < CAST($2 AS bigint)
        THEN LEAST(min(claim.started) FILTER (WHERE is_ours), now() - interval '15 seconds') END AS first
    FROM claim
), oldest AS (
    SELECT min(head.created) AS created
    FROM unnest(CAST($1 AS text[])) AS ours (source)
    CROSS JOIN LATERAL (
        SELECT q.:"created" AS created
        FROM :"schema".:"queue" AS q
        WHERE q.:"source" = ours.source AND q.:"status" = :ready AND q.:"worker" IS NULL
            AND q.ocr_not_before IS NULL
        ORDER BY q.:"created", q.:"id"
        LIMIT 1
    ) AS head
), first_due AS (
    SELECT min(head.not_before) AS not_before
    FROM unnest(CAST($1 AS text[])) AS ours (source)
    CROSS JOIN LATERAL (
        SELECT q.ocr_not_before AS not_before
        FROM :"schema".:"queue" AS q
        WHERE q.:"source" = ours.source AND q.:"status" = :ready AND q.ocr_not_before < 'infinity'
        ORDER BY q.ocr_not_before
        LIMIT 1
    ) AS head
)
SELECT
    (SELECT count(*) FROM (
        SELECT FROM unnest(CAST($1 AS text[])) AS ours (source)
        CROSS JOIN LATERAL (
            SELECT FROM :"schema".:"queue" AS q
            WHERE q.:"source" = ours.source AND q.:"status" = :ready AND q.:"worker" IS NULL
                AND q.ocr_not_before IS NULL
            ORDER BY q.:"created", q.:"id"
            LIMIT CAST($2 AS bigint)
        ) AS one
        LIMIT CAST($2 AS bigint)) AS ready),
    (SELECT count(*) FROM (
        SELECT FROM unnest(CAST($1 AS text[])) AS ours (source)
        CROSS JOIN LATERAL (
            SELECT FROM :"schema".:"queue" AS q
            WHERE q.:"source" = ours.source AND q.:"status" = :ready AND q.ocr_not_before IS NOT NULL
            ORDER BY q.ocr_not_before
            LIMIT CAST($2 AS bigint)
        ) AS one
        LIMIT CAST($2 AS bigint)) AS waiting),
    (SELECT count(*) FROM claim WHERE is_ours AND is_asked_for),
    (SELECT count(*) FROM claim WHERE NOT is_ours AND is_asked_for),
    (SELECT count(*) FROM (
        SELECT FROM unnest(CAST($1 AS text[])) AS ours (source)
        CROSS JOIN LATERAL (
            SELECT FROM :"schema".:"queue" AS q
            WHERE q.:"source" = ours.source AND q.:"status" = :failed
            ORDER BY q.ocr_last_error_at, q.:"id"
            LIMIT CAST($2 AS bigint)
        ) AS one
        LIMIT CAST($2 AS bigint)) AS failed),
    CASE WHEN isfinite(oldest.created)
        THEN CAST(GREATEST(extract(epoch FROM now() - oldest.created) * 1000, 0) AS bigint) END,
    CASE WHEN oldest.created IS NULL OR oldest.created >= '0001-01-01 +00' AND oldest.created < '9999-01-01 +00'
        THEN to_char(COALESCE(CAST(oldest.created AS timestamptz), now() - interval '10 seconds') AT TIME ZONE 'UTC',
            'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END,
    CASE WHEN isfinite(first_due.not_before)
        THEN CAST(GREATEST(extract(epoch FROM first_due.not_before - now()) * 1000, 0) AS bigint)
        WHEN first_due.not_before IS NOT NULL THEN 0 END,
    CASE WHEN started.first >= '0001-01-01 +00'
        THEN to_char(started.first AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END
FROM oldest CROSS JOIN first_due CROSS JOIN started;
