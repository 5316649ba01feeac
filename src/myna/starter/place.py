"""The folder of a demo: made, or emptied of an earlier demo, and held while one is writing into it.

Only what a demo has written is ever removed, and only from a folder that says that a demo made it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from myna.errors import ResourceError
from myna.runs import held_folder, write_file, writing

MARK = "demo.json"
NEEDED_BYTES = 150_000_000
"""What a demo writes at most, with room to spare: fused model, checkpoints and the cache while it trains."""


@dataclass(frozen=True, slots=True)
class Place:
    """The paths in a demo's folder. again: an earlier demo was there and has been removed."""

    folder: Path
    again: bool = False

    @property
    def recipe(self) -> Path:
        """The recipe that it trains by."""
        return self.folder / "recipe.yaml"

    @property
    def run(self) -> Path:
        """The run folder, with the adapter and the report."""
        return self.folder / "run"

    @property
    def fused(self) -> Path:
        """The model that base and adapter make together."""
        return self.folder / "model"

    def database(self, name: str) -> Path:
        """The SQLite file of a database."""
        return self.folder / f"{name}.sqlite"

    def data(self, name: str) -> Path:
        """The data folder that was made of a database."""
        return self.folder / name

    def score(self, name: str) -> Path:
        """The folder of a score's results."""
        return self.folder / "scores" / name

    def finish(self, result: str) -> None:
        """Write down what has come of the demo, as JSON."""
        write_file(self.folder / MARK, result + "\n")


@contextmanager
def fresh_place(out: Path) -> Iterator[Place]:
    """Give an empty place to write a demo into, which no other demo uses until the block ends.

    Raises `RunError` when something else is at `out`, another demo is at work there or it can't be written to, and
    `ResourceError` when the disk has too little room.
    """
    with held_folder(out, "demo", mark=MARK, instead="name another folder: myna demo FOLDER") as ours:
        _clear(Place(out))
        free = shutil.disk_usage(out).free
        if free < NEEDED_BYTES:
            raise ResourceError(
                f"{out}: {free / 1e6:,.0f} MB are free on this disk, and the demo writes up to {NEEDED_BYTES / 1e6:.0f}"
                " MB; make room, or name a folder on another disk: myna demo FOLDER"
            )
        write_file(out / MARK, json.dumps({"finished": False}) + "\n")
        yield Place(out, again=ours)


def _clear(place: Place) -> None:
    """Remove what an earlier demo wrote; the mark last, so that a demo that was killed here is known for one."""
    folders = (place.run, place.fused, place.folder / "scores", place.data("students"), place.data("birds"))
    files = (place.recipe, place.database("students"), place.database("birds"), place.folder / MARK)
    with writing(place.folder):
        for folder in folders:
            if folder.is_dir():
                shutil.rmtree(folder)
        for file in files:
            file.unlink(missing_ok=True)
