"""The statements of src/sql run by hand: their very texts, variables filled in, over the protocol that the program speaks."""

import json
import pathlib
import re
import time

import psycopg
from psycopg import pq

SQL = pathlib.Path(__file__).resolve().parents[2] / "src" / "sql"
VARIABLES = {"schema": "public", "queue": "extraction_queue", "pages_schema": "public", "pages": "extraction_queue_page",
             "id": "id", "source": "document_source", "number": "document_number", "path": "supabase_path",
             "status": "status_id", "worker": "worker_id", "content": "file_content", "boosted": "boosted_file_content",
             "created": "created_at", "ready": "3", "claimed": "2", "done": "4", "failed": "5", "id_type": "bigint",
             "content_type": "jsonb", "boosted_type": "jsonb"}
VARIABLE = re.compile(r"""(?<![:\w]):(?:"(?P<name>\w+)"|'(?P<literal>\w+)'|(?P<raw>\w+))""")


def filled(name):
    """The statement as the program sends it, for the queue of the contract."""
    def value(match):
        for kind, form in (("name", '"{}"'), ("literal", "'{}'"), ("raw", "{}")):
            if match[kind]:
                return form.format(VARIABLES[match[kind]])
        raise AssertionError(match)
    return VARIABLE.sub(value, (SQL / f"{name}.sql").read_text())


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def touched(plan):
    """Buffers. A node counts what is below it, but not an UPDATE in a CTE that nobody reads: that runs at the very end."""
    late = [p for p in plan.get("Plans", []) if plan["Node Type"] != "ModifyTable" and p["Node Type"] == "ModifyTable"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] + sum(
        p["Shared Hit Blocks"] + p["Shared Read Blocks"] for p in late)


class Session:
    """A connection; parameters and results are texts, as the program has them."""

    def __init__(self, url):
        self.connection = psycopg.connect(url, autocommit=True, connect_timeout=10)
        self.texts = {}

    def send(self, sql, params):
        result = self.connection.pgconn.exec_params(sql.encode(), [None if p is None else str(p).encode() for p in params])
        if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            raise psycopg.OperationalError(result.error_message.decode())
        return result

    def text(self, name):
        if name not in self.texts:
            self.texts[name] = filled(name)
        return self.texts[name]

    def run(self, name, *params):
        """Its rows, and how many it changed."""
        result = self.send(self.text(name), params)
        rows = [[None if (v := result.get_value(r, c)) is None else v.decode() for c in range(result.nfields)] for r in range(result.ntuples)]
        return rows, result.command_tuples or 0

    def timed(self, name, *params):
        """As run(), with the milliseconds of the round trip in front."""
        sql = self.text(name)
        began = time.perf_counter()
        self.send(sql, params)
        return 1000 * (time.perf_counter() - began)

    def explain(self, name, *params, analyze=False):
        """What the server would do, or did: {"Plan": ..., "Planning Time": ...}."""
        options = "ANALYZE, BUFFERS, FORMAT JSON" if analyze else "FORMAT JSON"
        return json.loads(self.send(f"EXPLAIN ({options}) {self.text(name)}", params).get_value(0, 0))[0]

    def close(self):
        self.connection.close()
