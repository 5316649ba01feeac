import sqlite3

import pytest

from myna.databases import Database, Limits
from myna.databases.state import state


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "school.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE students (name TEXT)")
    connection.commit()
    connection.close()
    return path


def test_the_state_stays_while_nothing_changes_and_changes_with_the_content(path):
    with Database.open(path) as database:
        first = state(database)
        assert state(database) == first
        assert len(first) == 32
        connection = sqlite3.connect(path)
        connection.execute("INSERT INTO students VALUES ('Ann')")
        connection.commit()
        connection.close()
        assert state(database) != first


def test_a_write_ahead_log_changes_the_state(path):
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO students VALUES ('Ann')")
    writer.commit()
    with Database.open(path) as database:
        first = state(database)
        writer.execute("INSERT INTO students VALUES ('Bob')")
        writer.commit()
        assert state(database) != first
    writer.close()


def test_another_has_limits_of_its_own_and_outlives_the_first(path):
    connection = sqlite3.connect(path)
    connection.executemany("INSERT INTO students VALUES (?)", [(str(number),) for number in range(30)])
    connection.commit()
    connection.close()
    with Database.open(path, limits=Limits(rows=10)) as database, database.another(limits=Limits(rows=20)) as another:
        assert len(database.run("SELECT name FROM students").rows) == 10
        database.close()
        assert len(another.run("SELECT name FROM students").rows) == 20
