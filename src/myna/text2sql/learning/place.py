"""The new run's folder: written whole before anything is learnt there, found again when a learning goes on.

    recipe.yaml          of the new run: the old one's, from its adapter on, on the new data
    data/                what is trained on, and the test that scores both adapters; corrections.jsonl has all of them
    learning/plan.json   what is learnt of what, as digests: the same plan goes on where it was
    learning/questions/  all that both adapters are asked
    learning/before/     scores of the old adapter, learning/after/ of the new one
    learning/result.json what it came to

A plan and data go in. Knows no model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from myna.errors import RunError
from myna.recipe import Recipe, to_yaml
from myna.runs import RunFolder, read_file, refuse_links, restore, write_folder
from myna.text2sql.facts import NOTE
from myna.text2sql.learning.past import CARRIED, LEARNING, RESULT

_PLAN = "plan.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that determines a learning. run, corrections, data: digests; settings: as given."""

    source: str
    run: str
    corrections: str
    data: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Contents:
    """What the new folder begins with. note: of both data folders, where their databases are above all."""

    recipe: Recipe
    train: Iterable[Mapping[str, Any]]
    valid: Iterable[Mapping[str, Any]]
    test: Iterable[Mapping[str, Any]]
    questions: Iterable[Mapping[str, Any]]
    corrections: Iterable[Mapping[str, Any]]
    note: Mapping[str, Any]


class Place:
    """A folder in which is learnt."""

    def __init__(self, path: Path) -> None:
        self.run = RunFolder(path)
        self.data = path / "data"
        self._learning = path / LEARNING
        self.questions = self._learning / "questions"
        self.before = self._learning / "before"
        self.after = self._learning / "after"
        self.result = self._learning / RESULT

    @property
    def is_begun(self) -> bool:
        """Whether its contents stand there."""
        return (self._learning / _PLAN).is_file()

    def begin(self, plan: Plan, contents: Contents) -> None:
        """Write the whole folder or nothing. Raises `ResourceError` (disk full) and `RunError` (not permitted)."""
        with write_folder(self.run.path) as partial:
            new = Place(partial)
            for folder in (new.data, new.questions):
                folder.mkdir(parents=True)
            counts = {
                name: _write_lines(new.data / f"{name}.jsonl", records)
                for name, records in (("train", contents.train), ("valid", contents.valid), ("test", contents.test))
            }
            _write_lines(new.data / CARRIED, contents.corrections)
            _write_lines(new.questions / "test.jsonl", contents.questions)
            splits = {name: {"count": count} for name, count in counts.items() if count}
            _write_json(new.data / NOTE, {**contents.note, "splits": splits})
            _write_json(new.questions / NOTE, contents.note)
            new.run.recipe_path.write_text(to_yaml(contents.recipe), "utf-8")
            _write_json(new._learning / _PLAN, asdict(plan))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only process that learns here. Raises `RunError` when another one does."""
        refuse_links(self.run.path, read_only=("data",))
        busy = f"{self.run.path}: another process is learning here; wait for it, or name another folder with --out"
        with RunFolder(self._learning).lock(busy=busy):
            yield

    def differences(self, plan: Plan) -> list[str]:
        """Name what is planned otherwise here; empty when it is the same."""
        try:
            before = json.loads(read_file(self._learning / _PLAN))
        except (OSError, RunError, ValueError, RecursionError):
            return ["a plan that can be read"]
        if not isinstance(before, dict):
            return ["a plan that can be read"]
        wanted = json.loads(json.dumps(asdict(plan)))
        return [name for name, value in wanted.items() if before.get(name) != value]


def find_place(run: Path, out: Path | None, plan: Plan) -> Place:
    """Return where `plan` is learnt: `out`, or beside the old run the folder where it was begun, or a new one.

    Raises `RunError` when `out` holds something else, or is finished.
    """
    if out is not None:
        restore(out.expanduser())
        place = Place(out.expanduser().absolute())
        _check_place(place, plan)
        return place
    first = run.with_name(re.sub(r"-learnt(-\d+)?$", "", run.name) + "-learnt")
    candidate, number = Place(first), 1
    while candidate.run.path.exists():
        if candidate.is_begun and not candidate.result.exists() and not candidate.differences(plan):
            return candidate
        number += 1
        candidate = Place(first.with_name(f"{first.name}-{number}"))
    return candidate


def _check_place(place: Place, plan: Plan) -> None:
    path = place.run.path
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not place.is_begun:
        raise RunError(f"{path}: exists already and is no unfinished learning; name another folder with --out")
    if place.result.exists():
        raise RunError(f"{path}: has learnt already, see {place.result}; name another folder with --out")
    if differs := place.differences(plan):
        raise RunError(
            f"{path}: holds an unfinished learning of something else (what differs: {', '.join(differs)}); finish that "
            "one with its own command, remove the folder, or name another one with --out"
        )


def _write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Write JSON lines, no file when there are none; return how many."""
    count = 0
    with ExitStack() as opened:
        for record in records:
            if not count:
                file = opened.enter_context(path.open("wb"))
            file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            count += 1
    return count


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", "utf-8")
