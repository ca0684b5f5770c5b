-- What became of a claim whose settling changed nothing now: the status that stands beside its token, if any, and
-- without a worker, as settling leaves it.
-- $1 id  $2 claim token
SELECT q.:"status"
FROM :"schema".:"queue" AS q
WHERE q.:"id" = CAST($1 AS :id_type) AND q.ocr_claim = $2 AND q.:"worker" IS NULL;
