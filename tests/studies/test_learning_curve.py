"""How many examples are enough: nested sizes, an honest rule, and a study that goes on where it was stopped."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import myna
import scored_data
from myna.cli import main
from myna.data.folder import open_folder
from myna.errors import Interrupted, RecipeError, RunError
from myna.recipe import Recipe, to_yaml
from myna.studies.curve import Point, beats, enough, finding
from myna.studies.learning_curve import Size
from myna.studies.page import compose
from myna.studies.subsets import checked_sizes, usual_sizes, write_subset
from myna.text2sql.facts import SqlFacts
from myna.training.events import Step
from small_runs import one_layer, small_recipe, write_lines

Answers = tuple[bool, ...]


def points(*right: Answers) -> list[Point]:
    return [Point(50 << number, each) for number, each in enumerate(right)]


def first_right(count: int, of: int = 100) -> Answers:
    return tuple(number < count for number in range(of))


def test_enough_is_the_first_size_that_no_larger_one_beats_by_more_than_chance() -> None:
    curve = points(first_right(20), first_right(60), first_right(80), first_right(82), first_right(83))
    assert enough(curve) == 200
    assert finding(curve).startswith("200 examples are enough")


def test_where_the_largest_size_beats_all_others_more_still_pays() -> None:
    curve = points(first_right(20), first_right(60), first_right(90))
    assert enough(curve) is None
    assert "still pay" in finding(curve)


def test_an_early_lucky_size_is_not_enough_when_a_far_larger_one_beats_it() -> None:
    assert enough(points(first_right(50), first_right(52), first_right(48), first_right(70))) is None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_of_two_models_at_most_one_beats_the_other(pairs: list[tuple[bool, bool]]) -> None:
    one, other = zip(*pairs, strict=True)
    assert not (beats(one, other) and beats(other, one))


@given(st.integers(0, 30), st.integers(0, 30))
def test_one_beats_another_as_the_binomial_distribution_says(won: int, lost: int) -> None:
    one = (True,) * won + (False,) * lost
    other = (False,) * won + (True,) * lost
    tail = sum(math.comb(won + lost, heads) * 0.5 ** (won + lost) for heads in range(won, won + lost + 1))
    assert beats(one, other) == (won > lost and tail <= 0.05)


def test_usual_sizes_double_until_all_are_taken() -> None:
    assert usual_sizes(717) == (50, 100, 200, 400, 717)
    assert usual_sizes(400) == (50, 100, 200, 400)
    assert usual_sizes(30) == (30,)


def test_sizes_that_the_data_has_not_are_refused() -> None:
    assert checked_sizes([100, 50, 100], 120) == (50, 100)
    for wrong in (0, 121):
        with pytest.raises(RecipeError, match=f"--sizes {wrong}: expected 1 to 120"):
            checked_sizes([wrong], 120)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve questions to learn, four to validate on, four to score, about one database."""
    folder = scored_data.school(tmp_path_factory.mktemp("curve") / "data", scored_data.GOLD[:4])
    for name, numbers in {"train": range(12), "valid": range(12, 16)}.items():
        gold = "SELECT name FROM students WHERE age = {}"
        facts = [SqlFacts("school", gold.format(number), "", number) for number in numbers]
        write_lines(folder / f"{name}.jsonl", [scored_data.line(f"Who is {each.line}?", each) for each in facts])
    return folder


def test_a_smaller_size_is_part_of_a_larger_one_and_its_databases_are_found(data: Path, tmp_path: Path) -> None:
    whole = open_folder(data)
    for size in (3, 7):
        write_subset(whole, size, tmp_path / str(size), seed=5)
    small, large = (set((tmp_path / name / "train.jsonl").read_bytes().splitlines()) for name in ("3", "7"))
    assert len(small) == 3
    assert small < large
    assert large < set((data / "train.jsonl").read_bytes().splitlines())
    assert (tmp_path / "3" / "valid.jsonl").read_bytes() == (data / "valid.jsonl").read_bytes()
    made = json.loads((tmp_path / "3" / "data.json").read_text())
    assert Path(made["databases"]["school"]).samefile(data / "databases" / "school.sqlite")
    write_subset(whole, 3, tmp_path / "other", seed=6)
    assert (tmp_path / "other" / "train.jsonl").read_bytes() != (tmp_path / "3" / "train.jsonl").read_bytes()


def test_data_without_a_validation_file_validates_on_the_same_examples_at_every_size(
    data: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "train.jsonl").write_bytes((data / "train.jsonl").read_bytes() + (data / "valid.jsonl").read_bytes())
    whole = open_folder(alone)
    assert whole.valid is not None
    write_subset(whole, 4, tmp_path / "four", seed=0)
    part = open_folder(tmp_path / "four")
    assert part.valid is not None
    assert part.valid.content_hash == whole.valid.content_hash
    assert not set(part.train.contents()) & set(part.valid.contents())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_layer(tmp_path_factory.mktemp("curve-model") / "model")


@pytest.fixture
def recipe(model: Path, data: Path, tmp_path: Path) -> Recipe:
    return small_recipe(model, data, tmp_path / "unused", iters=3, save_every=1, steps_per_eval=3)


class Stop:
    """A listener that presses Ctrl-C, as a person may, and counts the steps it has seen."""

    def __init__(self, at: Callable[[Any], bool] = lambda event: False) -> None:
        self.at, self.steps, self.sizes = at, 0, list[int]()

    def __call__(self, event: Any) -> None:
        self.steps += isinstance(event, Step)
        if isinstance(event, Size):
            self.sizes.append(event.examples)
        if self.at(event):
            raise KeyboardInterrupt


def test_a_study_scores_every_size_and_goes_on_where_it_was_stopped(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "study"
    stop = Stop(lambda event: isinstance(event, Size) and event.examples == 6)
    with pytest.raises(Interrupted, match="The same command goes on there"):
        myna.learning_curve(recipe, out=out, sizes=[3, 6], score_size=2, listener=stop)
    assert stop.steps == 3

    rest = Stop()
    curve = myna.learning_curve(recipe, out=out, sizes=[3, 6], score_size=2, listener=rest)
    assert rest.sizes == [0, 3, 6]
    assert rest.steps == 3  # the first size was learnt before
    assert [point.examples for point in curve.points] == [0, 3, 6]
    assert all(point.accuracy.of == 2 for point in curve.points)
    assert all(point.seconds and point.peak_memory_bytes and point.iterations == 3 for point in curve.points[1:])
    assert curve.report.read_text("utf-8").count("<svg") == 3

    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe), "utf-8")
    command = [
        "learning-curve",
        str(tmp_path / "recipe.yaml"),
        "--out",
        str(out),
        "--sizes",
        "3,6",
        "--score-size",
        "2",
    ]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert curve.finding in " ".join(shown.split())
    assert "Starting training" not in shown  # all was there
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(curve.as_dict()))

    with pytest.raises(RunError, match="learning_rate differ"):
        myna.learning_curve(recipe.model_copy(update={"learning_rate": 1e-3}), out=out, score_size=2)


def test_a_folder_that_holds_no_study_is_left_alone(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("one")
    with pytest.raises(RunError, match="holds no study"):
        myna.learning_curve(recipe, out=tmp_path / "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


def test_the_command_refuses_sizes_that_are_no_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learning-curve", "--model", "m", "--data", "d", "--sizes", "few,many"]) == 2
    assert "expected numbers, such as 50,100,200" in capsys.readouterr().err


def test_the_report_marks_the_size_that_is_enough(recipe: Recipe) -> None:
    page = compose(points(first_right(20), first_right(80), first_right(80)), recipe)
    assert [row.enough for row in page.rows] == [False, True, False]
    assert page.curve is not None
    assert "95 % interval 13.3–28.9 at examples 50, 71.1–86.7 at examples 200" in page.curve.words
    assert [len(line.dots) for line in page.curve.lines] == [0, 3]
