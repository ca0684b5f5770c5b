-- A new row, ready to be read: its id.
-- $1 source  $2 document number (may be null)  $3 path in storage
INSERT INTO :"schema".:"queue" (:"source", :"number", :"path", :"status")
VALUES ($1, $2, $3, :ready)
RETURNING :"id";
