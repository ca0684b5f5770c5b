-- What the catalogue says about the queue: no row where there is no such table.
-- Columns: schema of the queue, schema of the table of pages (null: missing), type of the id, kinds of the two
-- result columns (jsonb, json, text; anything else is refused), columns of ours that are missing, columns of the
-- migration that are missing, whether the claim index is there, whether both triggers notify.
WITH queue AS (
    SELECT c.oid, c.relnamespace, n.nspname
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relname = :'queue' AND c.relkind IN ('r', 'p')
        AND CASE :'schema' WHEN '' THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = :'schema' END
), pages AS (
    SELECT n.nspname
    FROM queue
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = COALESCE(NULLIF(:'pages_schema', ''), queue.nspname)
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid
    WHERE c.relname = :'pages' AND c.relkind IN ('r', 'p')
), columns AS (
    SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
        CASE t.typcategory WHEN 'S' THEN 'text' ELSE pg_catalog.format_type(a.atttypid, NULL) END AS kind
    FROM queue
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = queue.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
)
SELECT queue.nspname,
    (SELECT pages.nspname FROM pages),
    (SELECT type FROM columns WHERE name = :'id'),
    (SELECT kind FROM columns WHERE name = :'content'),
    (SELECT kind FROM columns WHERE name = :'boosted'),
    (SELECT string_agg(wanted, ', ')
        FROM unnest(ARRAY[:'id', :'source', :'number', :'path', :'status', :'worker', :'content', :'boosted',
            :'created']) AS wanted
        WHERE wanted NOT IN (SELECT name FROM columns)),
    (SELECT string_agg(wanted, ', ')
        FROM unnest(ARRAY['ocr_claim', 'ocr_attempts', 'ocr_losses', 'ocr_max_attempts', 'ocr_started_at',
            'ocr_completed_at', 'ocr_lease_until', 'ocr_not_before', 'ocr_last_error_at', 'ocr_error']) AS wanted
        WHERE wanted NOT IN (SELECT name FROM columns)),
    EXISTS (SELECT FROM pg_catalog.pg_class AS i
        WHERE i.relnamespace = queue.relnamespace AND i.relname = :'queue' || '_ocr_claim' AND i.relkind IN ('i', 'I')),
    (SELECT count(*) = 2 FROM pg_catalog.pg_trigger AS t
        WHERE t.tgrelid = queue.oid AND t.tgname IN ('indexocr_notify_insert', 'indexocr_notify_update')
            AND t.tgenabled IN ('O', 'A'))
FROM queue;
