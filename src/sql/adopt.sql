-- Makes these foreign claims ready, where they are still the versions that were seen. Locked rows are being changed.
-- IS NOT DISTINCT FROM: the row is looked up by its id. With = the index of claims would do, and where an old snapshot
-- keeps dead rows every claim of its time stands there.
-- $1 ids (array)  $2 versions (array)
WITH adopted AS MATERIALIZED (
    SELECT q.:"id" AS id
    FROM unnest(CAST($1 AS :id_type[]), CAST($2 AS text[])) AS seen (id, version)
    JOIN :"schema".:"queue" AS q ON q.:"id" = seen.id AND CAST(q.xmin AS text) = seen.version
    WHERE q.:"status" IS NOT DISTINCT FROM :claimed
        AND NOT COALESCE(starts_with(q.ocr_claim, q.:"worker" || '/') AND q.ocr_lease_until IS NOT NULL, false)
    FOR NO KEY UPDATE OF q SKIP LOCKED
)
UPDATE :"schema".:"queue" AS q
SET :"status" = :ready,
    :"worker" = NULL,
    ocr_claim = NULL,
    ocr_lease_until = NULL,
    ocr_not_before = NULL
FROM adopted
WHERE q.:"id" = adopted.id;
