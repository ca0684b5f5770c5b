-- Claims of other programs: id, and the row's version, which every change of it changes.
-- $1 sources (array)  $2 at most
SELECT q.:"id", q.xmin
FROM :"schema".:"queue" AS q
WHERE q.:"status" = :claimed AND q.:"source" = ANY (CAST($1 AS text[]))
    AND NOT COALESCE(starts_with(q.ocr_claim, q.:"worker" || '/') AND q.ocr_lease_until IS NOT NULL, false)
ORDER BY q.:"id"
LIMIT CAST($2 AS bigint);
