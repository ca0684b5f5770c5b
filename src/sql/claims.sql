-- Every claim of one daemon: id, claim token.
-- $1 daemon (second part of the token)  $2 lower bound of their start
SELECT q.:"id", q.ocr_claim
FROM :"schema".:"queue" AS q
WHERE q.:"status" = :claimed AND q.ocr_lease_until IS NOT NULL
    AND COALESCE(q.ocr_started_at, 'infinity') >= CAST($2 AS timestamptz)
    AND starts_with(q.ocr_claim, q.:"worker" || '/') AND split_part(q.ocr_claim, '/', 2) = $1
ORDER BY q.:"id";
