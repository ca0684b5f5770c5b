"""What every integration test can ask for: real servers, fresh databases, the build directory."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fakes"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import daemon  # noqa: E402
import launch  # noqa: E402
import offices  # noqa: E402
import queue_client  # noqa: E402
import servers  # noqa: E402

SOURCE = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def sourcedir():
    return SOURCE


@pytest.fixture(scope="session")
def builddir():
    """Where the programs are: $builddir, else ./build."""
    path = pathlib.Path(os.environ.get("builddir", SOURCE / "build")).resolve()
    assert path.is_dir(), f"no build directory {path}; build first, or set builddir"
    return path


@pytest.fixture(scope="session")
def postgres():
    """One PostgreSQL for the session; each test takes a database of its own."""
    server = servers.Postgres()
    yield server
    server.close()


@pytest.fixture
def own_postgres():
    """A PostgreSQL for one test that stops or restarts it."""
    server = servers.Postgres()
    yield server
    server.close()


@pytest.fixture
def redis():
    server = servers.Redis()
    yield server
    server.close()


@pytest.fixture(scope="session")
def pgbouncer(postgres):
    """In transaction mode."""
    server = servers.PgBouncer(postgres)
    yield server
    server.close()


@pytest.fixture
def new_client(builddir):
    """Factory: a queue client on that database URL (tests/integration/queue_driver.c)."""
    clients = []

    def make(url, **configuration):
        clients.append(queue_client.QueueClient(builddir, url, **configuration))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def database(postgres, new_client):
    """Factory: a fresh database with the queue table; migrated unless migrate=False."""
    databases = []

    def make(migrate=True, **options):
        db = servers.Database(postgres, **options)
        databases.append(db)
        if migrate:
            new_client(db.url, table=db.table).migrate()
        return db

    yield make
    for db in databases:
        db.close()


@pytest.fixture
def proxy(postgres):
    server = servers.CuttingProxy(postgres.port)
    yield server
    server.close()


@pytest.fixture(scope="session")
def programs(builddir):
    """The programs, where the unprivileged user of the tests may run them."""
    copies = daemon.Programs(builddir)
    yield copies
    copies.close()


@pytest.fixture
def new_daemon(programs):
    """Factory: an indexocrd of these environments; see daemon.Daemon. Not started yet."""
    daemons = []

    def make(environments, **options):
        daemons.append(daemon.Daemon(programs, environments, **options))
        return daemons[-1]

    yield make
    for d in daemons:
        d.close()


@pytest.fixture
def new_office(database):
    """Factory: a migrated queue and a document directory of its own, as one environment of a configuration."""
    made = []

    def make(**options):
        made.append(offices.Office(database(**options)))
        return made[-1]

    yield make
    for office in made:
        office.close()


@pytest.fixture
def gemini():
    """Factory: the double of the Gemini API."""
    doubles = []

    def make(*arguments):
        doubles.append(launch.Double("gemini", "--key", offices.KEY, *arguments))
        return doubles[-1]

    yield make
    for double in doubles:
        double.close()


@pytest.fixture
def storage():
    """Factory: the double of Supabase Storage, over an office's documents."""
    doubles = []

    def make(office):
        doubles.append(launch.Double("storage", "--key", offices.STORAGE_KEY, "--root", office.directory))
        return doubles[-1]

    yield make
    for double in doubles:
        double.close()
