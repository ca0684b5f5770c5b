-- What is missing of the migration: the statements to run, in order; none where nothing is. It looks, and changes
-- nothing itself. Statements of one step belong into one transaction; how = 'short' ones need a lock that stops
-- readers or writers, so they must get it at once or try again; 'alone' ones run outside of a transaction.
-- Columns: step, how, statement, place within the step.
-- $1 true: triggers that notify, too
WITH queue AS (
    SELECT c.oid, n.nspname AS schema, c.relname AS name, c.reloptions,
        COALESCE(c.relacl, acldefault('r', c.relowner)) AS acl
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relname = :'queue' AND c.relkind IN ('r', 'p')
        AND CASE :'schema' WHEN '' THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = :'schema' END
), pages AS (
    SELECT n.nspname AS schema, :'pages' AS name, c.oid, c.relrowsecurity, c.relacl AS acl
    FROM queue
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = COALESCE(NULLIF(:'pages_schema', ''), queue.schema)
    LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = :'pages'
),
-- Columns. None has a default that is computed for each row, so adding them is instant at any size.
wanted_column (place, name, type) AS (
    VALUES (1, 'ocr_claim', 'text'), (2, 'ocr_attempts', 'integer NOT NULL DEFAULT 0'),
        (3, 'ocr_losses', 'integer NOT NULL DEFAULT 0'), (4, 'ocr_max_attempts', 'integer'),
        (5, 'ocr_started_at', 'timestamptz'), (6, 'ocr_completed_at', 'timestamptz'),
        (7, 'ocr_lease_until', 'timestamptz'), (8, 'ocr_not_before', 'timestamptz'),
        (9, 'ocr_last_error_at', 'timestamptz'), (10, 'ocr_error', 'text')
), column_step AS (
    SELECT format('ALTER TABLE %I.%I %s', queue.schema, queue.name,
        string_agg(format('ADD COLUMN %I %s', w.name, w.type), ', ' ORDER BY w.place)) AS statement
    FROM queue
    CROSS JOIN wanted_column AS w
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = queue.oid AND a.attname = w.name AND NOT a.attisdropped)
    GROUP BY queue.schema, queue.name
),
-- Storage. Room on each page for renewals (HOT), and a vacuum before dead rows pile up at the head of the queue.
-- What the owner has set himself stays.
wanted_option (name, value) AS (
    VALUES ('fillfactor', '80'), ('autovacuum_vacuum_scale_factor', '0.01'),
        ('autovacuum_vacuum_threshold', '1000'), ('autovacuum_analyze_scale_factor', '0.02')
), option_step AS (
    SELECT format('ALTER TABLE %I.%I SET (%s)', queue.schema, queue.name,
        string_agg(format('%s = %s', w.name, w.value), ', ' ORDER BY w.name DESC)) AS statement
    FROM queue
    CROSS JOIN wanted_option AS w
    WHERE NOT EXISTS (SELECT FROM unnest(queue.reloptions) AS o WHERE split_part(o, '=', 1) = w.name)
    GROUP BY queue.schema, queue.name
),
-- Indexes. ocr_lease_until is in none of them: renewals would not be HOT. Each that is counted or walked in order
-- begins with the source: rows of other sources are not looked at. Claims are found from a start on, so that dead ones
-- before it need not be; those without one stand last. One of another definition is built anew.
wanted_index (place, name, columns, predicate) AS (
    VALUES
        (1, :'queue' || '_ocr_claim', format('%I, %I, %I', :'source', :'created', :'id'),
            format('((%I = %s) AND (%I IS NULL) AND (ocr_not_before IS NULL))', :'status', :ready, :'worker')),
        (2, :'queue' || '_ocr_promote', format('%I, ocr_not_before', :'source'),
            format('((%I = %s) AND (ocr_not_before IS NOT NULL))', :'status', :ready)),
        (3, :'queue' || '_ocr_claimed', 'COALESCE(ocr_started_at, ''infinity''::timestamp with time zone)', format('(%I = %s)', :'status', :claimed)),
        (4, :'queue' || '_ocr_failed', format('%I, ocr_last_error_at, %I', :'source', :'id'),
            format('(%I = %s)', :'status', :failed))
), index_state AS (
    SELECT w.*, queue.schema, queue.name AS queue, i.indexrelid IS NOT NULL AS is_there,
        COALESCE(i.indisvalid AND pg_catalog.pg_get_expr(i.indpred, i.indrelid) = w.predicate
            AND w.columns = (SELECT string_agg(pg_catalog.pg_get_indexdef(i.indexrelid, n, false), ', ' ORDER BY n)
                FROM generate_series(1, i.indnatts) AS n), false) AS is_good
    FROM queue
    CROSS JOIN wanted_index AS w
    LEFT JOIN (pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid)
        ON i.indrelid = queue.oid AND c.relname = w.name
),
-- The table of pages. Row security is on; those who may write the queue may write here, those who may read it may
-- read, but nobody through the roles of a public interface.
public_role AS (
    SELECT 'PUBLIC' AS name
    UNION ALL
    SELECT format('%I', r.rolname) FROM pg_catalog.pg_roles AS r WHERE r.rolname IN ('anon', 'authenticated')
), wanted_grant AS (
    SELECT DISTINCT a.grantee, format('%I', r.rolname) AS role, p.privilege
    FROM queue
    CROSS JOIN LATERAL aclexplode(queue.acl) AS a
    JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
    CROSS JOIN LATERAL (
        SELECT unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege WHERE a.privilege_type = 'UPDATE'
        UNION SELECT a.privilege_type WHERE a.privilege_type IN ('SELECT', 'INSERT', 'DELETE')
    ) AS p
    WHERE r.rolname NOT IN ('anon', 'authenticated', current_user)
), grant_step AS (
    SELECT format('GRANT %s ON %I.%I TO %s', string_agg(w.privilege, ', ' ORDER BY w.privilege), pages.schema,
        pages.name, w.role) AS statement, w.role
    FROM pages
    CROSS JOIN wanted_grant AS w
    WHERE NOT EXISTS (SELECT FROM aclexplode(pages.acl) AS a
        WHERE a.grantee = w.grantee AND a.privilege_type = w.privilege)
    GROUP BY pages.schema, pages.name, w.role
), policy_step AS (
    SELECT DISTINCT format('CREATE POLICY %I ON %I.%I TO %s USING (true) WITH CHECK (true)',
        'indexocr_' || left(trim(BOTH '"' FROM w.role), 40), pages.schema, pages.name, w.role) AS statement, w.role
    FROM pages
    CROSS JOIN wanted_grant AS w
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid = pages.oid AND w.grantee = ANY (p.polroles))
),
-- Notifications: INSERT once per statement, UPDATE for each row that becomes ready.
trigger_step (place, name, statement) AS (
    SELECT 1, 'indexocr_notify_insert', format(
        'CREATE TRIGGER indexocr_notify_insert AFTER INSERT ON %1$I.%2$I FOR EACH STATEMENT '
        'EXECUTE FUNCTION %1$I.indexocr_notify_ready()', queue.schema, queue.name)
    FROM queue
    UNION ALL
    SELECT 2, 'indexocr_notify_update', format(
        'CREATE TRIGGER indexocr_notify_update AFTER UPDATE ON %1$I.%2$I FOR EACH ROW '
        'WHEN (NEW.%3$I = %4$s AND NEW.%5$I IS NULL AND NEW.ocr_not_before IS NULL '
        'AND (OLD.%3$I <> %4$s OR OLD.%5$I IS NOT NULL OR OLD.ocr_not_before IS NOT NULL)) '
        'EXECUTE FUNCTION %1$I.indexocr_notify_ready()', queue.schema, queue.name, :'status', :ready, :'worker')
    FROM queue
)
SELECT 10 AS step, 'short' AS how, statement, 0 AS place FROM column_step
UNION ALL
SELECT 20, 'short', statement, 0 FROM option_step
UNION ALL
SELECT 30, 'short', format(
    'CREATE TABLE %I.%I (queue_id %s NOT NULL, page integer NOT NULL, key text NOT NULL, result jsonb NOT NULL, '
    'tokens bigint NOT NULL DEFAULT 0, created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (queue_id, page)) '
    'WITH (autovacuum_vacuum_scale_factor = 0.05)', pages.schema, pages.name,
    (SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute AS a, queue
        WHERE a.attrelid = queue.oid AND a.attname = :'id')), 0
FROM pages WHERE pages.oid IS NULL
UNION ALL
SELECT 30, 'short', format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', pages.schema, pages.name), 1
FROM pages WHERE pages.relrowsecurity IS NOT TRUE
UNION ALL
SELECT 30, 'short', format('REVOKE ALL ON %I.%I FROM %s', pages.schema, pages.name, string_agg(public_role.name, ', ')), 2
FROM pages CROSS JOIN public_role WHERE pages.oid IS NULL GROUP BY pages.schema, pages.name
UNION ALL
SELECT 30, 'short', statement, 3 FROM grant_step
UNION ALL
SELECT 30, 'short', statement, 4 FROM policy_step
UNION ALL
SELECT 40 + place, 'alone', format('DROP INDEX CONCURRENTLY %I.%I', schema, name), 0
FROM index_state WHERE is_there AND NOT is_good
UNION ALL
SELECT 40 + place, 'alone', format('CREATE INDEX CONCURRENTLY %I ON %I.%I (%s) WHERE %s', name, schema, queue, columns,
    predicate), 1
FROM index_state WHERE NOT is_good
UNION ALL
SELECT 50, 'short', format(
    'CREATE FUNCTION %I.indexocr_notify_ready() RETURNS trigger LANGUAGE plpgsql SET search_path = '''' AS '
    '$body$ BEGIN PERFORM pg_catalog.pg_notify(''indexocr_ready'', ''''); RETURN NULL; END $body$', queue.schema), 0
FROM queue
WHERE CAST($1 AS boolean) AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc AS f
    JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
    WHERE n.nspname = queue.schema AND f.proname = 'indexocr_notify_ready')
UNION ALL
SELECT 50, 'short', t.statement, t.place
FROM queue CROSS JOIN trigger_step AS t
WHERE CAST($1 AS boolean) AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS g
    WHERE g.tgrelid = queue.oid AND g.tgname = t.name)
ORDER BY step, place, statement;
