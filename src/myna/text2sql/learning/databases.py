"""The databases that a run's data asks, by name, and which of them a correction is about.

A correction says where its database is; data says it by name and, in `data.json`, where that is. Both may be paths,
or URLs without a password. Opens nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from myna.databases.address import Address
from myna.errors import DatabaseError, DataError, did_you_mean
from myna.text2sql.facts import named_databases
from myna.text2sql.scoring.questions import find_database

_NAMED = 3


class KnownDatabases:
    """Names and places. places: absolute paths, or URLs."""

    def __init__(self, data: Iterable[Path], folder: Path | None) -> None:
        """data: data folders, of which the first that knows a name says where that is. folder: has NAME.sqlite or
        NAME/NAME.sqlite, before what data says.

        Raises `DataError` when a data.json can't be read.
        """
        self.places: dict[str, str] = {}
        for origin in data:
            for name, place in named_databases(origin).items():
                found = None if folder is None else find_database(folder, name)
                absolute = place if "://" in place else os.path.abspath(found or origin / place)
                self.places.setdefault(name, absolute)
        self._names = {_identity(place): name for name, place in self.places.items()}

    def name_of(self, place: str) -> str | None:
        """Return what data calls the database at `place`, None when it does not know it.

        The only file that data knows, when it is no longer there, is taken to have moved to `place`.
        """
        known = self._names.get(_identity(place))
        if known is not None or "://" in place or len(self.places) != 1:
            return known
        ((name, old),) = self.places.items()
        if "://" in old or os.path.lexists(old) or not os.path.lexists(os.path.expanduser(place)):
            return None
        self._add(name, place)
        return name

    def add(self, place: str) -> str:
        """Take a database that data does not know, under a new name, and return that."""
        wanted = Path(place.partition("?")[0]).stem or "database"
        name, number = wanted, 1
        while name in self.places:
            number += 1
            name = f"{wanted}-{number}"
        self._add(name, place)
        return name

    def check(self, name: str, where: str) -> None:
        """Raise `DataError` when the database that the example at `where` asks is not to be found."""
        if name not in self.places:
            raise DataError(
                f"{where}: the database {name!r} is not in the data's data.json{did_you_mean(name, self.places)}; name "
                "the folder that has it: --databases FOLDER"
            )
        place = self.places[name]
        if "://" not in place and not os.path.exists(place):
            raise DataError(
                f"{where}: its database {name!r} should be at {place}, where nothing is; name the folder that has it: "
                "--databases FOLDER"
            )

    def in_words(self) -> str:
        """Tell what data knows."""
        if not self.places:
            return "none"
        shown = [f"{name} at {place}" for name, place in list(self.places.items())[:_NAMED]]
        more = len(self.places) - _NAMED
        return ", ".join(shown) + (f" and {more} more" if more > 0 else "")

    def _add(self, name: str, place: str) -> None:
        self.places[name] = place if "://" in place else os.path.abspath(os.path.expanduser(place))
        self._names[_identity(place)] = name


def _identity(place: str) -> str:
    """Return a text that two addresses of the same database share."""
    if "://" in place:
        try:
            address = Address.parse(place)
        except DatabaseError:
            return place
        if address.kind in ("postgres", "mysql"):
            return address.shown
        place = address.location
    return os.path.realpath(os.path.expanduser(place))
