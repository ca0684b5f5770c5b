"""The statements as files: psql runs what the program runs; plans touch the claim index only."""

import json
import re

import pytest

import servers

DDL_FREE = {"bigint": ("1", "jsonb"), "uuid": ("00000000-0000-0000-0000-000000000001", "text")}
DEFAULTS = {"schema": "public", "queue": "extraction_queue", "pages_schema": "public", "pages": "extraction_queue_page",
            "id": "id", "source": "document_source", "number": "document_number", "path": "supabase_path",
            "status": "status_id", "worker": "worker_id", "content": "file_content", "boosted": "boosted_file_content",
            "created": "created_at", "ready": "3", "claimed": "2", "done": "4", "failed": "5"}
RENAMED = {**DEFAULTS, "schema": "Work Queue", "queue": "extraction queue", "pages_schema": "Work Queue", "id": "Id",
           "status": 'sta"tus'}
RENAMED_SQL = ('CREATE SCHEMA "Work Queue"; CREATE TABLE "Work Queue"."extraction queue" ("Id" {id}, '
               'document_number text, document_source text NOT NULL, supabase_path text, "sta""tus" smallint NOT NULL, '
               'worker_id text, file_content {content}, boosted_file_content {content}, '
               'created_at timestamptz NOT NULL DEFAULT now())')


def psql(db, variables, script):
    flags = sum((["-v", f"{name}={value}"] for name, value in variables.items()), [])
    return servers.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-A", "-t", *flags, db.url], input=script)


@pytest.mark.parametrize("renamed", [False, True])
@pytest.mark.parametrize("id_type", DDL_FREE)
def test_psql_prepares_every_statement(database, new_client, sourcedir, id_type, renamed):
    content = DDL_FREE[id_type][1]
    id_column = servers.ID_COLUMNS[id_type]
    db = database(migrate=False, schema_sql=RENAMED_SQL.format(id=id_column, content=content) if renamed else None,
                  id_type=id_type, content=content)
    names = RENAMED if renamed else DEFAULTS
    new_client(db.url, table=f"{names['schema']}.{names['queue']}", idColumn=names["id"],
               statusColumn=names["status"]).migrate()
    files = sorted((sourcedir / "src/sql").glob("*.sql"))
    assert len(files) > 20
    variables = {**names, "id_type": id_type, "content_type": content, "boosted_type": content}
    for file in files:
        done = psql(db, variables, "PREPARE s AS\n" + file.read_text())
        assert (done.returncode, done.stderr) == (0, ""), file.name


def test_every_statement_is_compiled_in(sourcedir):
    listed = re.findall(r"sql/\w+\.sql", (sourcedir / "src/texts.am").read_text())
    assert sorted(listed) == sorted(f"sql/{f.name}" for f in (sourcedir / "src/sql").glob("*.sql"))


def explain(db, sourcedir, statement, arguments):
    """The plan as executed for the third time: a session's first executions read the catalogue too."""
    variables = {**DEFAULTS, "id_type": "bigint", "content_type": "jsonb", "boosted_type": "jsonb"}
    script = f"PREPARE s AS\n{(sourcedir / 'src/sql' / statement).read_text()}\n" \
             + f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE s({arguments});\n\\echo ,\n" * 3
    done = psql(db, variables, script)
    assert done.returncode == 0, done.stderr
    return json.loads(f"[{done.stdout.strip().rstrip(',')}]")[-1][0]


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


@pytest.mark.parametrize("sources, buffers", [(["index"], 20), (["index", "acte", "plan"], 40)])
def test_a_claim_reads_the_claim_index_and_the_row_and_nothing_else(database, sourcedir, sources, buffers):
    db = database()
    for source in sources:
        db.add(20_000, source=source)
    db.add(20_000, status=4)
    db.execute("VACUUM ANALYZE extraction_queue")
    arguments = f"'{{{','.join(sources)}}}', 'w-1', 'w-1/d1/1/1', '60000', '3', '-infinity'"
    explained = explain(db, sourcedir, "claim.sql", arguments)
    found = list(nodes(explained["Plan"]))
    assert {n["Index Name"] for n in found if "Index Name" in n} == {"extraction_queue_ocr_claim", "extraction_queue_pkey"}
    assert not [n for n in found if n["Node Type"] in ("Seq Scan", "Bitmap Heap Scan")]
    assert explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"] <= buffers


@pytest.mark.parametrize("what, columns", [
    ("failed", {"status": 5, "ocr_last_error_at": "2026-01-01", "ocr_error": "x"}),
    ("waiting", {"ocr_not_before": "2026-01-01"}),
    ("ready", {}),
])
@pytest.mark.parametrize("statement, arguments, buffers", [
    ("depth.sql", "'{index,acte}', 100001", 60),
    ("requeue_failed.sql", "'{index,acte}', '2026-02-01', NULL, 1000", 150),
    ("promote.sql", "'{index,acte}', 1000", 150),
])
def test_rows_of_another_source_are_not_looked_at(database, sourcedir, what, columns, statement, arguments, buffers):
    db = database()
    db.add(50_000, source="plan", **columns)
    db.add(3, source="index", **columns)
    db.execute("ANALYZE extraction_queue")
    explained = explain(db, sourcedir, statement, arguments)
    assert not [n for n in nodes(explained["Plan"]) if n["Node Type"] == "Seq Scan" and n["Actual Loops"]]
    assert explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"] <= buffers
