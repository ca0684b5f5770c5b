-- Numbers of the pages stored for a document under this key. One that could not be read is not known: whoever reads
-- the document again tries it again, and takes its place.
-- $1 id  $2 page key
SELECT p.page
FROM :"pages_schema".:"pages" AS p
WHERE p.queue_id = CAST($1 AS :id_type) AND p.key = $2
    AND p.result -> 'isCompleted' IS DISTINCT FROM 'false'
ORDER BY p.page;
