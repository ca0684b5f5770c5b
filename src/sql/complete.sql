-- Writes the result, if the claim stands: pages stored under the key and pages given, in order, into the envelope.
-- Sums are aggregates, so that pages read before a crash count. What is computed takes the place of a key of that
-- name in the envelope; without one, the pages come first and the rest last. The token stays, for a worker whose
-- connection broke and who asks whether this was done.
-- IS NOT DISTINCT FROM: the row is looked up by its id. With = the index of claims would do, and where an old snapshot
-- keeps dead rows every claim of its time stands there.
-- $1 id  $2 worker  $3 claim token  $4 page key  $5 envelope (object)  $6 pages: [{"page": n, "result": {...}}]
-- $7 true: the plain text instead of the document
WITH claim AS MATERIALIZED (
    SELECT q.:"id" AS id
    FROM :"schema".:"queue" AS q
    WHERE q.:"id" = CAST($1 AS :id_type) AND q.:"status" IS NOT DISTINCT FROM :claimed
        AND q.:"worker" = $2 AND q.ocr_claim = $3
    FOR NO KEY UPDATE
), given AS (
    SELECT CAST(element ->> 'page' AS integer) AS page, element -> 'result' AS result
    FROM json_array_elements(CAST($6 AS json)) AS element
), page AS (
    SELECT given.page, given.result FROM given
    UNION ALL
    SELECT p.page, CAST(p.result AS json)
    FROM claim
    JOIN :"pages_schema".:"pages" AS p ON p.queue_id = claim.id AND p.key = $4
    WHERE p.page NOT IN (SELECT given.page FROM given)
), sums AS (
    SELECT COALESCE(json_agg(result ORDER BY page), '[]') AS pages,
        count(*) AS page_count,
        COALESCE(sum(CASE json_typeof(result -> 'lines') WHEN 'array' THEN json_array_length(result -> 'lines') END), 0)
            AS lines,
        COALESCE(sum(CAST(substring(result #>> '{tokens,input}' FROM '^[0-9]{1,15}') AS bigint)), 0) AS input,
        COALESCE(sum(CAST(substring(result #>> '{tokens,output}' FROM '^[0-9]{1,15}') AS bigint)), 0) AS output,
        COALESCE(sum(CAST(substring(result #>> '{tokens,thinking}' FROM '^[0-9]{1,15}') AS bigint)), 0) AS thinking,
        COALESCE(sum(CAST(substring(result #>> '{tokens,total}' FROM '^[0-9]{1,15}') AS bigint)), 0) AS total,
        COALESCE(string_agg(result ->> 'text', E'\f' ORDER BY page), '') AS text
    FROM page
), made AS (
    SELECT json_object_agg(key, COALESCE(computed.value, kept.value) ORDER BY COALESCE(kept.place, 1000)) AS indexocr
    FROM json_each(CAST($5 AS json) -> 'indexocr') WITH ORDINALITY AS kept (key, value, place)
    FULL JOIN (
        SELECT 'tokens' AS key,
            json_build_object('input', input, 'output', output, 'thinking', thinking, 'total', total) AS value
        FROM sums
    ) AS computed USING (key)
), document AS (
    SELECT json_object_agg(key, COALESCE(computed.value, kept.value)
        ORDER BY COALESCE(kept.place, computed.place)) AS value
    FROM json_each(CAST($5 AS json)) WITH ORDINALITY AS kept (key, value, place)
    FULL JOIN (
        SELECT 'pages' AS key, sums.pages AS value, 0 AS place FROM sums
        UNION ALL SELECT 'totalPages', to_json(page_count), 1000 FROM sums
        UNION ALL SELECT 'totalLines', to_json(lines), 1001 FROM sums
        UNION ALL SELECT 'indexocr', made.indexocr, 1002 FROM made
    ) AS computed USING (key)
), wanted AS (
    SELECT CASE WHEN CAST($7 AS boolean) THEN to_json(sums.text) ELSE document.value END AS value
    FROM sums CROSS JOIN document
), gone AS (
    DELETE FROM :"pages_schema".:"pages" AS p USING claim WHERE p.queue_id = claim.id
)
UPDATE :"schema".:"queue" AS q
SET :"status" = :done,
    :"worker" = NULL,
    :"content" = CAST(CASE :'content_type' WHEN 'text' THEN wanted.value #>> '{}' ELSE CAST(wanted.value AS text) END
        AS :content_type),
    :"boosted" = CAST(CASE :'boosted_type' WHEN 'text' THEN wanted.value #>> '{}' ELSE CAST(wanted.value AS text) END
        AS :boosted_type),
    ocr_completed_at = now(),
    ocr_lease_until = NULL,
    ocr_not_before = NULL,
    ocr_last_error_at = NULL,
    ocr_error = NULL
FROM claim CROSS JOIN wanted
WHERE q.:"id" = claim.id;
