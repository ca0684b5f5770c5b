-- Sends a notification: the keeper's proof that LISTEN delivers.
-- $1 channel  $2 payload
SELECT pg_notify($1, $2);
