-- Numbers of the pages stored for a document under this key.
-- $1 id  $2 page key
SELECT p.page
FROM :"pages_schema".:"pages" AS p
WHERE p.queue_id = CAST($1 AS :id_type) AND p.key = $2
ORDER BY p.page;
