"""Without a driver, what is missing is said with the command that installs it."""

import sys

import pytest

from myna.databases.address import Address
from myna.databases.duckdb import open_duckdb
from myna.databases.mysql import open_mysql
from myna.databases.postgres import open_postgres
from myna.errors import MissingDependency


@pytest.mark.parametrize(
    ("module", "package", "opens", "url"),
    [
        ("psycopg", "psycopg", open_postgres, "postgresql://u:Geheim@127.0.0.1:1/d"),
        ("pymysql", "PyMySQL", open_mysql, "mysql://u:Geheim@127.0.0.1:1/d"),
        ("duckdb", "duckdb", lambda address: open_duckdb(address, memory=200 * 2**20), "x.duckdb"),
    ],
)
def test_a_missing_driver_is_named_with_the_command_that_installs_it(monkeypatch, module, package, opens, url) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependency, match=rf"needs {package}.*pip install 'myna\[sql\]'") as caught:
        opens(Address.parse(url))
    assert "Geheim" not in str(caught.value)
