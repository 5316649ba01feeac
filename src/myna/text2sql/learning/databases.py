"""The databases that a run's data asks, by name, and which of them a correction is about.

A correction says where its database is; data says it by name and, in `data.json`, where that is. Both may be paths,
or URLs without a password. Opens nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from myna.databases.address import Address
from myna.databases.allowed import allow, place_in_corrections, place_in_data, shown_place
from myna.errors import DatabaseError, DataError, did_you_mean, excerpt
from myna.text2sql.facts import NOTE, named_databases
from myna.text2sql.scoring.questions import find_database

_NAMED = 3


class KnownDatabases:
    """Names and places. places: absolute paths, or URLs; those that data may not name are among them, never opened."""

    def __init__(self, data: Iterable[Path], folder: Path | None) -> None:
        """data: data folders, of which the first that knows a name says where that is. folder: has NAME.sqlite or
        NAME/NAME.sqlite, before what data says.

        Raises `DataError` when a data.json can't be read.
        """
        self.places: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._names: dict[str, str] = {}
        for origin in data:
            for name, place in named_databases(origin).items():
                if name in self.places:
                    continue
                found = None if folder is None else find_database(folder, name)
                try:
                    where = f"{origin / NOTE}: the database {name!r}"
                    allowed = str(found.absolute()) if found else place_in_data(place, origin, where=where)
                    self._add(name, allowed)
                except DatabaseError as error:
                    self._refused[name] = str(error)
                    self.places[name] = shown_place(place) if "://" in place else os.path.abspath(origin / place)
                    self._names[_as_written(self.places[name])] = name

    def name_of(self, place: str) -> str | None:
        """Return what data calls the database at `place`, which a correction names; None when it does not know it.

        The only file that data knows, when it is no longer there, is taken to have moved to `place`.
        """
        known = self._names.get(_as_written(place))
        if known is not None or "://" in place:
            return known
        try:
            path = place_in_corrections(place, where="")
        except DatabaseError:  # so it is not looked at
            return None
        known = self._names.get(os.path.realpath(path))
        if known is not None or len(self.places) != 1 or self._refused:
            return known
        ((name, old),) = self.places.items()
        if "://" in old or os.path.lexists(old) or not os.path.lexists(path):
            return None
        self._add(name, path)
        return name

    def opened_at(self, place: str, where: str) -> str:
        """Return what `Database.open` takes for the database at `place`, which the correction at `where` names.

        Raises `DatabaseError` when neither the correction nor data may name it.
        """
        name = self._names.get(_as_written(place))
        if name is not None and name not in self._refused:
            return self.places[name]
        return place_in_corrections(place, where=f"{where}: its database")

    def allow(self) -> None:
        """Let new data name all that this data may. Raises `RunError` when that can't be written down."""
        allow(*(place for name, place in self.places.items() if name not in self._refused))

    def add(self, place: str) -> str:
        """Take a database that data does not know and that may be opened, under a new name, and return that."""
        wanted = Path(place.partition("?")[0]).stem or "database"
        name, number = wanted, 1
        while name in self.places:
            number += 1
            name = f"{wanted}-{number}"
        self._add(name, place)
        return name

    def check(self, name: str, where: str) -> None:
        """Raise `DataError` when the database that the example at `where` asks is not to be found, `DatabaseError` when
        data may not name it.
        """
        if name not in self.places:
            raise DataError(
                f"{where}: the database {excerpt(name)} is not in the data's data.json"
                f"{did_you_mean(name, self.places)}; name the folder that has it: --databases FOLDER"
            )
        if name in self._refused:
            raise DatabaseError(f"{where}: {self._refused[name]}")
        place = self.places[name]
        if "://" not in place and not os.path.exists(place):
            raise DataError(
                f"{where}: its database {excerpt(name)} should be at {place}, where nothing is; name the folder that "
                "has it: --databases FOLDER"
            )

    def in_words(self) -> str:
        """Tell what data knows."""
        if not self.places:
            return "none"
        shown = [f"{name} at {shown_place(place)}" for name, place in list(self.places.items())[:_NAMED]]
        more = len(self.places) - _NAMED
        return ", ".join(shown) + (f" and {more} more" if more > 0 else "")

    def _add(self, name: str, place: str) -> None:
        self.places[name] = place
        self._names[_as_written(place)] = name
        if "://" not in place:
            self._names[os.path.realpath(place)] = name


def _as_written(place: str) -> str:
    """Return a text that two ways to write one address share, without a look at the file."""
    if "://" not in place:
        return os.path.abspath(os.path.expanduser(place))
    try:
        return Address.parse(place).place
    except DatabaseError:
        return place
