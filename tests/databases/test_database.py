"""`Database` and its worker process: limits, threads, interrupts, restarts, and what is left behind."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from databases.school import write_school
from myna.databases import Database, Limits
from myna.errors import DatabaseError, QueryError

ENDLESS = "SELECT count(*) FROM endless"
STUCK = "SELECT count(*) FROM students" + " NATURAL JOIN students" * 62  # planned in one piece, so never interrupted


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_school(tmp_path_factory.mktemp("school") / "school.sqlite", students=20)


@pytest.fixture
def database(school: Path) -> Iterator[Database]:
    with Database.open(school, limits=Limits(seconds=0.5)) as database:
        yield database


def process_of(database: Database) -> int:
    running = database._worker._running
    assert running is not None
    return running.process.pid


def kill_process_of(database: Database) -> int:
    running = database._worker._running
    assert running is not None
    running.process.kill()
    assert becomes_true(lambda: running.process.poll() is not None)
    return running.process.pid


def is_gone(pid: int) -> bool:
    """Whether no process has this number, or only one whose end was not yet asked for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and ") Z " in state.read_text("utf-8", "replace")


def becomes_true(what: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.01)
    return what()


def test_an_open_database_says_what_it_is(school: Path) -> None:
    with Database.open(str(school)) as database:
        assert database.dialect == "sqlite"
        assert database.name == str(school)
        assert repr(database) == f"<Database {school}>"


def test_a_query_that_lasts_too_long_is_ended_by_the_engine(database: Database) -> None:
    pid = process_of(database)
    with pytest.raises(QueryError, match=r"longer than 0\.5 s") as caught:
        database.run(ENDLESS)
    assert caught.value.kind == "time"
    assert process_of(database) == pid


def test_a_query_that_the_engine_can_not_end_costs_the_process_and_the_next_one_gets_another(
    database: Database,
) -> None:
    pid = process_of(database)
    with pytest.raises(QueryError) as caught:
        database.run(STUCK)
    assert caught.value.kind == "time"
    assert is_gone(pid)
    assert database.run("SELECT 1").rows == ((1,),)
    assert process_of(database) != pid


def test_a_worker_that_was_killed_meanwhile_is_replaced(database: Database) -> None:
    for _ in range(3):
        killed = kill_process_of(database)
        assert database.run("SELECT count(*) FROM students").rows == ((20,),)
        assert process_of(database) != killed


def test_a_worker_that_dies_during_a_query_is_named_and_replaced(school: Path) -> None:
    with Database.open(school, limits=Limits(seconds=30)) as database:
        pid = process_of(database)
        threading.Timer(0.2, os.kill, (pid, signal.SIGKILL)).start()
        with pytest.raises(QueryError, match="ended by the system") as caught:
            database.run(ENDLESS)
        assert caught.value.kind == "memory"
        assert database.run("SELECT 1").rows == ((1,),)


def test_memory_beyond_the_limit_ends_the_query_and_not_the_database(school: Path) -> None:
    with Database.open(school, limits=Limits(memory=64 * 2**20, seconds=20)) as database:
        for sql in (
            "SELECT zeroblob(100000000)",
            "SELECT randomblob(10000) AS x FROM endless ORDER BY x",
            "SELECT count(*) FROM (SELECT DISTINCT randomblob(10000) FROM endless)",
            "WITH m AS MATERIALIZED (SELECT randomblob(1000000) AS x FROM endless) SELECT count(*) FROM m AS a, m AS b",
        ):
            with pytest.raises(QueryError) as caught:
                database.run(sql)
            assert caught.value.kind == "memory"
        assert database.run("SELECT 1").rows == ((1,),)


def test_a_limit_may_be_endless(school: Path) -> None:
    with Database.open(school, limits=Limits(seconds=float("inf"))) as database:
        assert database.run("SELECT count(*) FROM students").rows == ((20,),)


def test_threads_share_a_database_and_get_their_own_answers(school: Path) -> None:
    with Database.open(school) as database, ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda number: database.run(f"SELECT {number}, count(*) FROM students").rows, range(200))
        assert list(answers) == [((number, 20),) for number in range(200)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("busy", [False, True])
def test_after_a_fork_both_sides_have_a_worker_of_their_own(school: Path, busy: bool) -> None:
    with Database.open(school, limits=Limits(seconds=2)) as database, ThreadPoolExecutor(1) as threads:
        if busy:
            asked = threads.submit(database.run, ENDLESS)
            assert becomes_true(database._worker._lock.locked)
        child = os.fork()
        if child == 0:
            try:
                right = database.run("SELECT 2").rows == ((2,),)
                database.close()
                os._exit(0 if right else 1)
            finally:
                os._exit(2)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        if busy:
            with pytest.raises(QueryError, match="longer than 2 s"):
                asked.result()
        assert database.run("SELECT 1").rows == ((1,),)


def test_closing_ends_the_process_and_may_happen_twice(school: Path) -> None:
    database = Database.open(school)
    pid = process_of(database)
    database.close()
    database.close()
    assert is_gone(pid)
    for use in (lambda: database.run("SELECT 1"), lambda: database.prepare("SELECT 1"), lambda: database.schema):
        with pytest.raises(DatabaseError, match="is closed"):
            use()


def test_a_forgotten_database_takes_its_process_with_it(school: Path) -> None:
    database = Database.open(school)
    pid = process_of(database)
    del database
    assert becomes_true(lambda: is_gone(pid))


def test_a_program_that_ends_without_closing_ends_clean(school: Path) -> None:
    program = f"""
from myna.databases import Database
database = Database.open({str(school)!r})
print(database._worker._running.process.pid, database.run("SELECT 1").rows)
"""
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program], capture_output=True, check=True, timeout=60
    )
    pid, rows = ended.stdout.split(maxsplit=1)
    assert (rows, ended.stderr) == (b"((1,),)\n", b"")
    assert becomes_true(lambda: is_gone(int(pid)))


def test_a_database_that_could_not_be_opened_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "bad.sqlite").write_bytes(b"no database at all")
    before = children()
    with pytest.raises(DatabaseError):
        Database.open(tmp_path / "bad.sqlite")
    assert children() == before


def children() -> set[str]:
    task = Path(f"/proc/self/task/{os.getpid()}/children")
    return set(task.read_text("ascii").split()) if task.exists() else set()


PARENT = """
import sys
from myna.databases import Database, Limits
database = Database.open(sys.argv[1], limits=Limits(seconds=300))
print(database._worker._running.process.pid, flush=True)
try:
    database.run(sys.argv[2])
except KeyboardInterrupt:
    print("interrupted", database.run("SELECT 1").rows, flush=True)
    database.close()
"""


@pytest.mark.parametrize("sql", [ENDLESS, STUCK], ids=["endless", "stuck"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda sent: sent.name)
def test_however_the_parent_ends_in_a_query_no_process_stays(school: Path, sql: str, sent: signal.Signals) -> None:
    arguments = [sys.executable, "-c", PARENT, str(school), sql]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert becomes_true(lambda: seconds_of_work(worker) > 0.1)
        parent.send_signal(sent)
        said = parent.stdout.read()
        assert parent.wait(10) == (0 if sent == signal.SIGINT else -sent)
    assert said == ("interrupted ((1,),)\n" if sent == signal.SIGINT else "")
    assert becomes_true(lambda: is_gone(worker))


def seconds_of_work(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


def test_the_address_is_told_through_the_pipe_alone(tmp_path: Path) -> None:
    path = write_school(tmp_path / "geheim.sqlite", students=1)
    with Database.open(path) as database:
        for place in ("cmdline", "environ"):
            assert b"geheim" not in Path(f"/proc/{process_of(database)}/{place}").read_bytes()


def test_a_worker_starts_from_any_folder_and_any_environment(tmp_path: Path) -> None:
    school = write_school(tmp_path / "学校.sqlite", students=20)
    (tmp_path / "json.py").write_text("raise SystemExit('a file of the user was imported')")
    program = f"""
import sys
from myna.databases import Database
with Database.open({str(school)!a}) as database:
    assert database.run("SELECT count(*) FROM students").rows == ((20,),)
"""
    for flags, environment in (
        (["-P"], {}),
        (["-I"], {}),
        ([], {"PYTHONPATH": "nowhere", "PYTHONSTARTUP": "nothing.py"}),
    ):
        arguments = [sys.executable, *flags, "-c", program]
        folder = tmp_path if flags else tmp_path.parent
        subprocess.run(arguments, check=True, cwd=folder, env=os.environ | environment, timeout=60)


def test_a_worker_of_sqlite_loads_nothing_heavy() -> None:
    program = """
import sys
import myna.databases.worker, myna.databases.sqlite
heavy = {"sqlglot", "sqlalchemy", "numpy", "duckdb", "psycopg", "pymysql", "asyncio", "subprocess", "pydantic"}
sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_relative_path_stays_the_same_file(school: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(school.parent)
    with Database.open(school.name) as database:
        monkeypatch.chdir(tmp_path)
        kill_process_of(database)
        assert database.run("SELECT count(*) FROM students").rows == ((20,),)


def test_a_database_that_went_away_is_an_error_when_it_is_needed_again(tmp_path: Path) -> None:
    path = write_school(tmp_path / "school.sqlite", students=1)
    with Database.open(path) as database:
        path.unlink()
        kill_process_of(database)
        with pytest.raises(DatabaseError, match="no such file"):
            database.run("SELECT 1")


def test_errors_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(QueryError("refused", "refused")))
    assert (str(error), error.kind) == ("refused", "refused")


def test_a_big_result_arrives_whole(school: Path) -> None:
    with Database.open(school) as database:
        result = database.run("SELECT n, 'text ' || n, x'00ff', NULL, n / 2.0 FROM endless LIMIT 10000")
        assert len(result.rows) == 10_000
        assert not result.truncated
        assert result.rows[9_999] == (10_000, "text 10000", b"\x00\xff", None, 5_000.0)
