"""What people type is understood, and no password in it is ever shown."""

import os
import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.databases.address import Address
from myna.errors import DatabaseError

SERVERS = ["postgresql", "postgres", "mysql", "mariadb", "postgresql+psycopg2", "mysql+mysqldb"]


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("sqlite:///x.db", "sqlite"),
        ("SQLite:///x.db", "sqlite"),
        ("sqlite+pysqlite:///x.whatever", "sqlite"),
        ("x.db", "sqlite"),
        ("some folder/数据.sqlite", "sqlite"),
        ("x.SQLITE3", "sqlite"),
        ("C:\\data\\x.db", "sqlite"),
        ("C:/data/x.db", "sqlite"),
        ("sqlite:///C:\\data\\x.db", "sqlite"),
        ("\\\\server\\share\\x.duckdb", "duckdb"),
        ("duckdb:///x", "duckdb"),
        ("x.duckdb", "duckdb"),
        ("postgresql://host/db", "postgres"),
        ("postgres://", "postgres"),
        ("mysql://root@localhost/db", "mysql"),
        ("mariadb://root@localhost/db", "mysql"),
        ("t.csv", "files"),
        ("t.tsv.gz", "files"),
        ("T.Parquet", "files"),
        ("t.json", "files"),
        ("t.jsonl.gz", "files"),
    ],
)
def test_each_address_has_its_kind(typed, kind):
    assert Address.parse(typed).kind == kind


def test_a_path_and_its_url_mean_the_same_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    locations = {Address.parse(typed).location for typed in ("x.db", Path("x.db"), "sqlite:///x.db")}
    assert locations == {str(tmp_path / "x.db")} == {Address.parse(f"sqlite:///{tmp_path}/x.db").location}
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Address.parse("~/x.db").location == str(tmp_path / "x.db")


def test_the_content_of_a_file_says_more_than_its_name(tmp_path):
    for name in ("one.db", "two.data", "three"):
        with sqlite3.connect(tmp_path / name) as connection:
            connection.execute("CREATE TABLE t (a)")
        connection.close()
        assert Address.parse(tmp_path / name).kind == "sqlite"
    duckdb.connect(str(tmp_path / "four.db")).close()
    assert Address.parse(tmp_path / "four.db").kind == "duckdb"
    duckdb.sql("SELECT 1 AS a").write_parquet(str(tmp_path / "five"))
    assert Address.parse(tmp_path / "five").kind == "files"
    (tmp_path / "empty.db").touch()
    assert Address.parse(tmp_path / "empty.db").kind == "sqlite"


@pytest.mark.skipif(sys.platform == "win32", reason="there a lock belongs to its handle")
def test_looking_at_a_database_keeps_the_locks_that_this_process_holds_on_it(tmp_path):
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("BEGIN EXCLUSIVE")
        assert Address.parse(tmp_path / "x.db").kind == "sqlite"
        write = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('CREATE TABLE u (a)')"
        other = subprocess.run(
            [sys.executable, "-c", write, tmp_path / "x.db"], capture_output=True, text=True, check=False
        )
        assert "database is locked" in other.stderr


def test_a_folder_is_a_database_when_it_has_table_files(tmp_path):
    with pytest.raises(DatabaseError, match=r"a folder without any \.csv"):
        Address.parse(tmp_path)
    (tmp_path / ".hidden.csv").write_text("a\n1\n")
    with pytest.raises(DatabaseError, match="a folder without"):
        Address.parse(tmp_path)
    (tmp_path / "t.csv").write_text("a\n1\n")
    assert Address.parse(tmp_path) == Address("files", str(tmp_path), str(tmp_path))


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("x\0.db", "NUL"),
        ("no such thing", "no such thing: no such file; expected the path"),
        ("postgress://u@h/d", r"postgress:// is no kind .* did you mean 'postgres'"),
        ("mongodb://h/d", "mongodb:// is no kind"),
        ("sqlite://x.db", "sqlite:///FILE"),
        ("sqlite://", "sqlite:///FILE"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///x.db?mode=rw", "parameters"),
        ("sqlite:x.db", "needs ://"),
        (Path("postgresql://u@h/d"), "needs :// after it"),
        ("mysql://root@localhost", "names no database"),
        ("postgresql://h:port/d", "a port is a number"),
        ("postgresql://h:123456/d", "a port is a number"),
        ("postgresql://::1/d", "IPv6 stands in brackets"),
        ("postgresql://h/d?sslmod=require", r"not known; did you mean 'sslmode'\?"),
        ("postgresql://h/d?options=-csearch_path", "not known"),
        ("postgresql://u%3Apw@h/d", "holds a colon"),
        ("postgresql://u:%ff@h/d", "no UTF-8"),
        ("postgresql://u:a%0Ab@h/d", "control character"),
        ("postgresql://u:p @h/d", "space"),
    ],
)
def test_a_wrong_address_is_explained(typed, message):
    with pytest.raises(DatabaseError, match=message):
        Address.parse(typed)


def test_servers_of_every_form_are_read():
    def parts(typed):
        address = Address.parse(typed)
        return address.location, address.shown

    assert parts("postgres://u:p@[::1]:5432/d") == ("postgresql://u:p@[::1]:5432/d", "postgresql://u@[::1]:5432/d")
    assert parts("mariadb+mysqldb://u:p%40w@h/数") == ("mysql://u:p%40w@h/%E6%95%B0", "mysql://u@h/%E6%95%B0")
    assert parts("postgresql://u:p@ss@h/d")[0] == "postgresql://u:p%40ss@h/d"
    assert parts("postgresql:///d?host=/run/pg&sslmode=require&password=x") == (
        "postgresql:///d?host=/run/pg&sslmode=require&password=x",
        "postgresql:///d?host=/run/pg&sslmode=require",
    )
    assert parts("postgresql://%2Frun%2Fpg/d")[0] == "postgresql://%2Frun%2Fpg/d"


MARK = "Geheim"
"""Stands at both ends of every password below, and nowhere else."""
PASSWORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
PLACES = [
    "{scheme}://user:{password}@host:5432/db",
    "{scheme}://user:{password}@[::1]/db?connect_timeout=3",
    "{scheme}://:{password}@host/db",
    "{scheme}://user@host/db?password={password}",
    "{scheme}://user@host/db?password={password}&connect_timeout=3",
    "{scheme}://user@host/db?passwd={password}",
    "{scheme}://user@host/db?sslpassword={password}",
    "{scheme}://user@host/db?ssl_key_password={password}",
    "{scheme}://user@host/db?pasword={password}",
    "{scheme}://user:{password}@/db",
    "{scheme}://user:{password}@host:{password}/db",
    "{scheme}:user:{password}@host/db",
    "{scheme}:/user:{password}@host/db",
    "{scheme}//user:{password}@host/db.sqlite",
    "user:{password}@host/db",
    "postgress://user:{password}@host/db",
    "jdbc:postgresql://host/db?user=u&password={password}",
    "host=h dbname=d password={password}",
    "sqlite://user:{password}@/x.db",
    "sqlite:///x.db?key={password}",
    "sqlite:///user:{password}@x.db",
    "sqlite:////user:{password}@host/x.db",
    "duckdb:///user:{password}@host/x.duckdb",
    "user:{password}@host/x.db",
    "postgre://user:{password}@host/db",
    "postgresql%3A//user%3A{password}%40host/db",
    "host=h dbname=d PGPASSWORD = {password}",
    "{{'user': 'u', 'password': '{password}'}}",
    "host.example:5432:db:user:{password}",
    "host.example:*:*:user:{password}",
]


@given(place=st.sampled_from(PLACES), scheme=st.sampled_from(SERVERS), between=PASSWORDS, encoded=st.booleans())
def test_no_password_is_ever_shown(place, scheme, between, encoded):
    password = f"{MARK}{between}{MARK}"
    typed = place.format(scheme=scheme, password=quote(password, safe="") if encoded else password)
    visible = _visible(typed)
    assert MARK not in visible


@pytest.mark.parametrize("typed", ["sqlite:///a:b@c.db", "a:b@c.db", "duckdb:///a:b@c.db"])
def test_a_file_that_is_there_may_have_any_name(typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:b@c.db").touch()
    assert Address.parse(typed).location == str(tmp_path / "a:b@c.db")


def _visible(typed: str) -> str:
    """Return all that a person may see of what became of `typed`."""
    try:
        address = Address.parse(typed)
    except DatabaseError as error:
        return f"{error!r} {error.__cause__!r}"
    assert MARK in address.location  # or the test would promise nothing
    return f"{address} {address!r} {address.shown}"


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)


@given(scheme=st.sampled_from(SERVERS), user=NAMES.filter(lambda name: ":" not in name), password=NAMES, database=NAMES)
def test_what_is_shown_is_an_address_of_the_same_database(scheme, user, password, database):
    user, password, database = (quote(part, safe="") for part in (user, password, database))
    address = Address.parse(f"{scheme}://{user}:{password}@host:99/{database}?connect_timeout=3")
    again = Address.parse(address.shown)
    assert again.shown == address.shown == again.location
    assert address.location.replace(f":{password}@", "@") == again.location
    assert pickle.loads(pickle.dumps(address)) == address


@pytest.mark.skipif(sys.platform == "win32", reason="file names of POSIX systems")
@given(name=st.text(st.characters(codec="utf-8", exclude_characters="\0/"), max_size=8))
def test_any_file_name_is_a_path(name):
    address = Address.parse(f"./a{name}.db")
    assert address == Address("sqlite", os.path.abspath(f"a{name}.db"), f"./a{name}.db")
