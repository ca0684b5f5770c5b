"""The configuration as a person meets it: the sample, the older worker's .env, the manual pages."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(os.environ.get("srcdir", Path(__file__).resolve().parents[2]))
BUILD = Path(os.environ.get("builddir", SOURCE / "build"))
DRIVER = BUILD / "tests/integration/conf_driver"
SAMPLE = SOURCE / "etc/indexocr.conf"
PAGES = sorted((SOURCE / "man").glob("*.[0-9]"))

OLD_ENV = """\
# Redis Configuration (for rate limiting)
REDIS_URL=redis://localhost:6379

# Gemini API Key (required)
GEMINI_API_KEY=your-gemini-api-key-here

# Supabase Environments (configure at least one)
DEV_SUPABASE_URL=https://your-dev-project.supabase.co
DEV_SUPABASE_SERVICE_KEY=your-dev-service-key-here

STAGING_SUPABASE_URL=https://your-staging-project.supabase.co
STAGING_SUPABASE_SERVICE_KEY=your-staging-service-key-here

PROD_SUPABASE_URL=https://your-prod-project.supabase.co
PROD_SUPABASE_SERVICE_KEY=your-prod-service-key-here
"""


def run(*args, **variables):
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run([DRIVER, *args], env=environment, capture_output=True, text=True,
                          timeout=30, check=False)


@pytest.fixture(scope="module")
def table():
    """section, name, allowed, default, reload or restart, help: of every key."""
    lines = run("table").stdout.splitlines()
    rows = [tuple(line.split("\t")) for line in lines]
    assert len(rows) > 90 and all(len(row) == 6 for row in rows)
    return rows


@pytest.fixture(name="sample")
def sample_fixture(tmp_path):
    """Writes the sample with its environment_file set to what is given; returns its path."""
    def write(environment_text):
        env = tmp_path / "env"
        env.write_text(environment_text)
        env.chmod(0o600)
        text = SAMPLE.read_text()
        for key, value in (("environment_file", env), ("user", "")):
            text, count = re.subn(rf'^{key} = ".*"$', f'{key} = "{value}"', text, flags=re.M)
            assert count == 1
        path = tmp_path / "indexocr.conf"
        path.write_text(text)
        path.chmod(0o644)
        return path
    return write


def section_of(text, name):
    """The lines of one section of the sample; those outside any for ''."""
    if name == "":
        return re.sub(r"^\w[\w ]* \{\n.*?^\}$", "", text, flags=re.M | re.S)
    title = "environment prod" if name == "environment" else name
    found = re.search(rf"^{title} \{{\n(.*?)^\}}$", text, flags=re.M | re.S)
    assert found, f"the sample has no section {title}"
    return found.group(1)


def squeezed(text):
    return " ".join(text.split())


# ---- the older worker's .env ------------------------------------------------------------------


def test_the_older_workers_env_and_one_database_url_are_enough(sample):
    path = sample(OLD_ENV + "\nexport PROD_DATABASE_URL='postgresql://u:HUSH@db.example:6543/p'\n")
    shown = run("print", path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "HUSH" not in shown.stdout and "your-prod-service-key-here" not in shown.stdout
    assert "your-gemini-api-key-here" not in shown.stdout
    assert re.findall(r"^environment (\w+) \{", shown.stdout, flags=re.M) == ["prod"]
    assert 'supabase_url = "https://your-prod-project.supabase.co"' in shown.stdout
    assert '@db.example:6543/p"' in shown.stdout
    assert 'url = "redis://localhost:6379"' in shown.stdout
    assert shown.stdout.startswith(
        "# environment staging is left out: its storage is configured, its database is not\n"
        "# environment dev is left out: its storage is configured, its database is not\n")


def test_the_env_example_of_etc_is_read(sample):
    text = (SOURCE / "etc/default.env").read_text()
    for name in ("GEMINI_API_KEY", "PROD_DATABASE_URL", "PROD_SUPABASE_URL",
                 "PROD_SUPABASE_SERVICE_KEY"):
        assert f"\n{name}=\n" in text
    good = text.replace("GEMINI_API_KEY=", "GEMINI_API_KEY=k").replace(
        "PROD_DATABASE_URL=", "PROD_DATABASE_URL=postgresql://h/d").replace(
        "PROD_SUPABASE_URL=", "PROD_SUPABASE_URL=https://h").replace(
        "PROD_SUPABASE_SERVICE_KEY=", "PROD_SUPABASE_SERVICE_KEY=k")
    assert run("check", sample(good)).returncode == 0


def test_the_process_environment_wins_over_the_file(sample):
    path = sample(OLD_ENV + "PROD_DATABASE_URL=postgresql://from-file/d\n")
    shown = run("print", path, PROD_DATABASE_URL="postgresql://from-process/d",
                DEV_DATABASE_URL="postgresql://dev/d", STAGING_SUPABASE_URL="")
    assert "postgresql://from-process/d" in shown.stdout
    assert "from-file" not in shown.stdout
    assert re.findall(r"^environment (\w+) \{", shown.stdout, flags=re.M) == ["prod", "dev"]
    assert "staging" not in shown.stdout


def test_environments_are_asked_in_the_order_written(sample):
    path = sample(OLD_ENV + "".join(
        f"{name}_DATABASE_URL=postgresql://h/{name}\n" for name in ("DEV", "PROD", "STAGING")))
    shown = run("print", path).stdout
    assert re.findall(r"^environment (\w+) \{", shown, flags=re.M) == ["prod", "staging", "dev"]


def test_without_any_database_it_says_what_to_set(sample):
    failed = run("check", sample(OLD_ENV))
    assert failed.returncode == 78
    assert failed.stderr.count("\n") == 1
    assert re.match(r"\S+/indexocr\.conf:\d+: no environment has a database", failed.stderr)
    assert "/env" in failed.stderr


def test_a_missing_environment_file_is_refused_but_at_its_default_path(tmp_path):
    path = tmp_path / "a.conf"
    path.write_text(f'user = ""\nenvironment_file = "{tmp_path}/none"\n')
    failed = run("check", path)
    assert failed.stderr == (f"{path}:2: environment_file: {tmp_path}/none: "
                             "No such file or directory\n")


def test_what_is_printed_loads_again_and_prints_the_same(sample, tmp_path):
    path = sample(OLD_ENV + "PROD_DATABASE_URL='host=h password=HUSH'\n")
    first = run("print", path).stdout
    again = tmp_path / "again.conf"
    again.write_text(first)
    again.chmod(0o644)
    second = run("print", again)
    assert second.returncode == 0, second.stderr
    # The warnings are gone with the environments they are about.
    assert second.stdout == re.sub(r"^# .*\n", "", first, flags=re.M)


def test_a_changed_pid_file_needs_a_restart_more_workers_do_not(sample, tmp_path):
    path = sample(OLD_ENV + "PROD_DATABASE_URL=postgresql://h/d\n")
    changed = tmp_path / "changed.conf"
    shutil.copy(path, changed)
    changed.write_text(path.read_text().replace("workers = 4", "workers = 5"))
    assert run("diff", path, changed).stdout == "\n"
    changed.write_text(path.read_text().replace("indexocrd.pid", "other.pid"))
    assert run("diff", path, changed).stdout == "pid_file\n"


# ---- sample and manual against the table ------------------------------------------------------------


def test_the_sample_has_every_key_at_its_default_with_what_is_allowed(table):
    text = SAMPLE.read_text()
    for section, name, allowed, default, restart, _ in table:
        lines = section_of(text, section).splitlines()
        at = [i for i, line in enumerate(lines) if re.match(rf"\s*#?{name} = ", line)]
        assert len(at) == 1, f"{section}.{name} stands {len(at)} times in the sample"
        value = lines[at[0]].split(" = ", 1)[1]
        if section != "environment" and default:
            assert value == default, f"{section}.{name}"
        if not default:
            assert lines[at[0]].strip().startswith("#") or "${" in value, f"{section}.{name}"
        comment = []
        for line in reversed(lines[:at[0]]):
            if not line.strip().startswith("# "):
                break
            comment.insert(0, line.strip()[2:])
        comment = squeezed(" ".join(comment))
        assert f"Allowed: {allowed}." in comment, f"{section}.{name}"
        assert ("Change: restart." in comment) == (restart == "restart"), f"{section}.{name}"
        assert ("Not set by default." in comment) == (default == ""), f"{section}.{name}"


def test_the_sample_with_every_key_active_loads(tmp_path):
    """What stands behind # is right, too, but for the alternatives to what is active."""
    text = SAMPLE.read_text().replace('user = "indexocr"', 'user = ""')
    text = re.sub(r"^(\s*)#(\w+ = )", r"\1\2", text, flags=re.M)
    text = re.sub(r"^\s*(\w+_file = \"/etc/indexocr/|token_file|thinking_budget).*\n", "", text, flags=re.M)
    path = tmp_path / "all.conf"
    path.write_text(text)
    loaded = run("print", path, PROD_DATABASE_URL="dbname=x", PROD_SUPABASE_URL="https://h",
                 PROD_SUPABASE_SERVICE_KEY="k", GEMINI_API_KEY="k", REDIS_URL="redis://h")
    assert (loaded.returncode, loaded.stderr) == (0, "")


def manual_entries():
    """(section, name) -> text of every .It Ic of the KEYS part of indexocr.conf(5)."""
    text = (SOURCE / "man/indexocr.conf.5").read_text().replace(r"\(dq", '"').replace(r"\&", "")
    keys = text.split("\n.Sh KEYS\n", 1)[1].split("\n.Sh ", 1)[0]
    entries = {}
    for part in re.split(r"^\.Ss ", keys, flags=re.M)[1:]:
        title, body = part.split("\n", 1)
        section = {"Outside any section": "", "environment NAME": "environment"}.get(title, title)
        for entry in re.split(r"^\.It Ic ", body, flags=re.M)[1:]:
            name, rest = entry.split("\n", 1)
            entries[section, name] = squeezed(rest)
    return entries


def test_the_manual_has_every_key_with_range_and_default_and_no_other(table):
    entries = manual_entries()
    assert set(entries) == {(row[0], row[1]) for row in table}
    for section, name, allowed, default, restart, _ in table:
        entry = entries[section, name]
        assert f"Allowed: {allowed}." in entry, f"{section}.{name}"
        assert f"Default: {default or 'not set'}." in entry, f"{section}.{name}"
        assert ("A change needs a restart." in entry) == (restart == "restart"), f"{section}.{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_manual_pages_are_clean(page):
    said = subprocess.run(["mandoc", "-T", "lint", page], capture_output=True, text=True,
                          timeout=30, check=False).stdout
    # The pages refer to each other before they are installed.
    assert [line for line in said.splitlines() if "referenced manual not found" not in line] == []


def test_manual_pages_refer_to_pages_that_exist():
    names = {page.name for page in PAGES}
    for page in PAGES:
        for name, number in re.findall(r"^\.Xr (indexocr\S*) (\d)", page.read_text(), flags=re.M):
            assert f"{name}.{number}" in names
