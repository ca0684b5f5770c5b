-- Deletes stored pages that are too old, of documents that nobody works on or that are gone; a batch of the table in
-- the order of its key: how many, and the id to go on behind (null: that was the end). Whoever claims such a document
-- meanwhile waits for nobody: its row is locked here, and claims pass over locked rows.
-- $1 id to begin behind (null: the beginning)  $2 days  $3 pages looked at
WITH batch AS MATERIALIZED (
    SELECT p.queue_id, p.created_at
    FROM :"pages_schema".:"pages" AS p
    WHERE CAST($1 AS text) IS NULL OR p.queue_id > CAST($1 AS :id_type)
    ORDER BY p.queue_id, p.page
    LIMIT CAST($3 AS bigint)
), old AS MATERIALIZED (
    SELECT DISTINCT batch.queue_id
    FROM batch
    WHERE batch.created_at < now() - CAST($2 AS integer) * interval '1 day'
), idle AS MATERIALIZED (
    SELECT q.:"id" AS id
    FROM old
    JOIN :"schema".:"queue" AS q ON q.:"id" = old.queue_id
    WHERE q.:"status" <> :claimed
    FOR NO KEY UPDATE OF q SKIP LOCKED
), pruned AS (
    DELETE FROM :"pages_schema".:"pages" AS p
    USING old
    WHERE p.queue_id = old.queue_id AND p.created_at < now() - CAST($2 AS integer) * interval '1 day'
        AND (EXISTS (SELECT FROM idle WHERE idle.id = old.queue_id)
            OR NOT EXISTS (SELECT FROM :"schema".:"queue" AS q WHERE q.:"id" = old.queue_id))
    RETURNING p.page
)
SELECT (SELECT count(*) FROM pruned),
    CASE WHEN (SELECT count(*) FROM batch) = CAST($3 AS bigint)
        THEN (SELECT CAST(batch.queue_id AS text) FROM batch ORDER BY batch.queue_id DESC LIMIT 1) END;
