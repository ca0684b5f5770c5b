"""A queue of any size, as it stands after years: sources mixed, most of it done, the newest ready; and what makes it worse."""

import servers
import statements

SOURCES = ("index", "acte", "plan_cadastraux")
OURS = "index"
CHUNK = 1_000_000
WORKER = "big-1"


class Table:
    """Filled before it is migrated: its pages are full, as those of a live table are."""

    def __init__(self, postgres, rows):
        self.db, self.rows, self.numbers = servers.Database(postgres), rows, 0
        for first in range(1, rows + 1, CHUNK):
            self.db.execute(f"""
                INSERT INTO extraction_queue (document_number, document_source, supabase_path, status_id, file_content, created_at)
                SELECT 'L-' || n, (ARRAY['index', 'acte', 'plan_cadastraux'])[1 + n % 3], 'index/2026/' || n || '.pdf', state,
                    CASE state WHEN 4 THEN '{{"pages": [], "totalPages": 0}}'::jsonb END, now() - ({rows} - n) * interval '3 seconds'
                FROM generate_series({first}, {min(rows, first + CHUNK - 1)}) AS n
                CROSS JOIN LATERAL (SELECT CASE WHEN n > {rows} * 93 / 100 THEN 3 WHEN n % 50 = 0 THEN 5 WHEN n % 97 = 0 THEN 1 ELSE 4 END) AS s (state)""")

    def open(self):
        """After its migration."""
        self.db.execute("VACUUM ANALYZE extraction_queue")
        self.session = statements.Session(self.db.url)
        self.look()

    # -- what makes it worse

    def put_in_back_off(self, count):
        """Older than everything that is ready, and waiting for their time."""
        self.db.execute(f"""INSERT INTO extraction_queue (document_source, supabase_path, status_id, created_at, ocr_not_before, ocr_attempts)
            SELECT '{OURS}', 'p', 3, now() - interval '5 years', now() + interval '1 day' + n * interval '1 second', 1
            FROM generate_series(1, {count}) AS n""")
        self.db.execute("ANALYZE extraction_queue")

    def put_another_source_in_front(self, count):
        for first in range(1, count + 1, CHUNK):
            self.db.execute(f"""INSERT INTO extraction_queue (document_source, supabase_path, status_id, created_at)
                SELECT 'acte', 'p', 3, now() - interval '6 years' + n * interval '1 second'
                FROM generate_series({first}, {min(count, first + CHUNK - 1)}) AS n""")
        self.db.execute("ANALYZE extraction_queue")

    def hold_a_snapshot(self):
        """Open until the caller closes it: no dead row is cleaned any more."""
        holder = self.db.connect()
        holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT count(*) FROM extraction_queue WHERE id = 1")
        return holder

    def work_off(self, count):
        """What a fleet does in an hour: so many documents claimed and done, the oldest first, and as many new ones."""
        self.db.execute(f"""UPDATE extraction_queue AS q SET status_id = 2, worker_id = 'w', ocr_claim = 'w/d/1/1', ocr_lease_until = now(),
                ocr_started_at = now() - interval '1 hour' + taken.n * interval '1 hour' / {count}
            FROM (SELECT id, row_number() OVER (ORDER BY created_at, id) AS n FROM extraction_queue
                WHERE status_id = 3 AND worker_id IS NULL AND ocr_not_before IS NULL AND document_source = '{OURS}'
                ORDER BY created_at, id LIMIT {count}) AS taken
            WHERE q.id = taken.id""")
        self.db.execute("UPDATE extraction_queue SET status_id = 4, worker_id = NULL, ocr_lease_until = NULL WHERE ocr_claim = 'w/d/1/1' AND status_id = 2")
        self.arrive(count)

    def arrive(self, count):
        self.db.execute(f"""INSERT INTO extraction_queue (document_number, document_source, supabase_path, status_id)
            SELECT 'N-' || n, '{OURS}', 'p', 3 FROM generate_series(1, {count}) AS n""")

    # -- what workers and keeper do

    def look(self):
        """The keeper's: it finds the lower bounds of what is ready, and of claims that stand."""
        ((*_, created_after, _, claims_after),), _ = self.session.run("depth", f"{{{OURS}}}", 100001)
        self.created_after, self.claims_after = created_after or "-infinity", claims_after or "-infinity"

    def token(self, daemon="here"):
        self.numbers += 1
        return f"{WORKER}/{daemon}/1/{self.numbers}"

    def claim_arguments(self, token, lease_ms=60_000):
        return OURS, WORKER, token, lease_ms, 3, self.created_after

    def claim(self, daemon="here", lease_ms=60_000):
        """(id, token)"""
        token = self.token(daemon)
        rows, _ = self.session.run("claim_one", *self.claim_arguments(token, lease_ms))
        return rows[0][0], token

    def forget_losses(self, id_):
        """Else the row at the head fails at the tenth."""
        self.db.execute("UPDATE extraction_queue SET ocr_losses = 0 WHERE id = %s::bigint", [id_])

    def complete(self, id_, token):
        _, changed = self.session.run("complete", id_, WORKER, token, "k", '{"indexocr": {}}', "[]", "false")
        assert changed == 1, (id_, token)
