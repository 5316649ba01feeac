"""Real servers for the tests of this room."""

from databases.servers import mariadb, postgres

__all__ = ["mariadb", "postgres"]
