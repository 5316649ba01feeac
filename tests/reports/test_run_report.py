"""The report of a run folder, as training leaves one: written through the same events and the same log."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myna.errors import RunError
from myna.recipe import Recipe, to_yaml
from myna.reports import write_report
from myna.runs import EventLog, RunFolder, write_file
from myna.training.events import (
    DataRead,
    Evaluation,
    Event,
    Finished,
    Generated,
    Notice,
    Report,
    Saved,
    Started,
)
from myna.training.events import Tested as Examined  # pytest takes a class named Test… for tests

Make = Callable[..., Path]

RECIPE = Recipe(model="examples/stories260K", data="examples/wikisql-text", iters=200, batch_size=8)
PROMPT = "table: 1-10015132-16\ncolumns: Player, No., Nationality\nQ: What is Terrence Ross' nationality\nA: "


def loss_at(iteration: int) -> float:
    return 2.2 + 3.7 * math.exp(-iteration / 45) + 0.05 * math.sin(iteration)


def ordinary_events(iterations: int = 200, *, every: int = 10, saved_every: int = 50) -> list[Event]:
    """A run that trains, evaluates, saves and samples, up to but without its end."""
    events: list[Event] = [
        DataRead("train", 400, 400, 0, 3, 0, 611, 71_230, 70_830),
        DataRead("valid", 60, 60, 2, 0, 0, 388, 10_412, 10_352),
        Started("runs/one", 0, iterations, 8, 4.0, 311_296, "cpu", "float32"),
        Evaluation(0, loss_at(0), 10_352, 60, 0.8, best=False),
        Generated(0, PROMPT, "SELECT Nationality FROM 1-10015132-16", "Once upon a time, there was a"),
    ]
    best = math.inf
    for step in range(every, iterations + 1, every):
        events.append(
            Report(
                step,
                loss_at(step),
                0.005 * (1 - step / iterations / 2),
                1 + 3 * math.exp(-step / 30),
                7.9,
                11_000 + 500 * math.sin(step),
                11_200 + 500 * math.sin(step),
                step * 1420,
                int(412e6 + step * 1e4),
                step / 7.9,
            )
        )
        if step % saved_every == 0:
            loss = loss_at(step) + 0.1 if step < iterations else loss_at(step) + 0.3
            events += [
                Evaluation(step, loss, 10_352, 60, 0.8, best=loss < best),
                Saved(step, f"checkpoints/{step:06d}"),
            ]
            best = min(best, loss)
    return events


def ending(iterations: int = 200) -> list[Event]:
    return [
        Generated(150, PROMPT, "SELECT Nationality FROM 1-10015132-16", "SELECT Player FROM 1-10015132-16"),
        Examined(150, 2.36, math.exp(2.36), 10_300, 60),
        Finished(iterations, 150, 2.43, False, iterations * 1420, 11_150, 414_000_000, iterations / 7.9),
    ]


class Page(HTMLParser):
    """What a browser sees: tags in order with their attributes, texts, and whether every tag is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def shape(self) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes in self.tags]


@pytest.fixture
def make_run(tmp_path: Path) -> Make:
    """Return a function that writes a run folder with these events."""
    numbers = itertools.count(1)

    def make(events: Iterable[Event], recipe: Recipe = RECIPE, word: str = "AMD EPYC") -> Path:
        run = RunFolder.create(tmp_path / f"run-{next(numbers)}")
        write_file(run.recipe_path, to_yaml(recipe))
        environment = {
            "python": "3.11.7",
            "libraries": {"torch": "2.13.0+cpu", "transformers": "5.23.0"},
            "device": {"name": word, "memory_bytes": 25_769_803_776, "notes": ["2 threads", "bf16 fast"]},
            "hashes": {"train": "5dd93fb90caabc8bc225aaf5d5060892", "valid": None},
        }
        write_file(run.environment_path, json.dumps(environment))
        with EventLog(run.log_path) as log:
            for event in events:
                log.append(event.as_dict())
        return run.path

    return make


def finished(make_run: Make) -> Page:
    return Page(write_report(make_run([*ordinary_events(), *ending()])))


def test_a_report_is_one_file_that_asks_for_nothing_else(make_run: Make) -> None:
    page = finished(make_run)
    assert not {"script", "img", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    addresses = [value for _, some in page.tags for key, value in some.items() if key in {"src", "href"}]
    assert addresses == ["data:,"]
    assert "http:" not in page.source
    assert "https:" not in page.source
    assert "url(" not in page.source
    assert "@import" not in page.source
    policies = [some["content"] for tag, some in page.tags if tag == "meta" and "http-equiv" in some]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_the_result_stands_in_one_sentence_at_the_top(make_run: Make) -> None:
    page = finished(make_run)
    assert "stories260K on wikisql-text" in page.text
    assert "Validation loss fell from 5.900 to 2.396 (perplexity 365 → 10.98) in 150 iterations of LoRA." in (page.text)
    assert "Finished after 200 iterations." in page.text
    assert "Test loss 2.360 perplexity 10.59" in page.text
    assert "414 MB" in page.text


def test_the_best_evaluation_is_marked_in_curve_and_table(make_run: Make) -> None:
    page = finished(make_run)
    assert [some["class"] for tag, some in page.tags if tag == "path" and "best" in (some["class"] or "")] == [
        "dot valid best"
    ]
    assert "Validation 2.396 at iteration 150 (best)" in page.text
    kept = [some for tag, some in page.tags if tag == "tr" and some.get("class") == "kept"]
    assert len(kept) == 1
    assert "150 2.396 10.98 checkpoints/000150 best, kept as adapter" in page.text


def test_all_curves_are_there_with_axes_and_words_for_those_who_cannot_see_them(make_run: Make) -> None:
    page = finished(make_run)
    labels = [some["aria-label"] or "" for tag, some in page.tags if tag == "svg"]
    assert [label.partition(":")[0] for label in labels] == [
        "Loss (nats per trained token)",
        "Learning rate",
        "Gradient norm (before clipping)",
        "Tokens a second",
        "Peak memory (MB)",
    ]
    assert "Train from 5.136 at iteration 10 to 2.200 at iteration 200" in labels[0]
    assert "0.002 0.004 0.006" in " ".join(sorted(set(page.texts)))


def test_answers_before_and_after_stand_side_by_side(make_run: Make) -> None:
    page = finished(make_run)
    assert (
        "Before training Once upon a time, there was a After iteration 150 SELECT Player FROM 1-10015132-16"
    ) in page.text
    assert "What is Terrence Ross' nationality" in page.text


def test_what_was_left_out_of_the_data_is_said_with_the_reason(make_run: Make) -> None:
    page = finished(make_run)
    assert "train: 3 examples are longer than 2,048 tokens and were left out" in page.text
    assert "valid: 2 lines could not be used and were left out." in page.text
    assert "Nothing was left out" not in page.text


def test_commands_can_be_pasted_into_a_shell(make_run: Make) -> None:
    run = make_run(ordinary_events())
    page = Page(write_report(run.rename(run.with_name("it's one"))))
    assert f"""myna chat --adapter-path '{run.parent}/it'"'"'s one'""" in page.text


def test_an_unfinished_run_says_how_far_it_came_and_how_to_go_on(make_run: Make) -> None:
    run = make_run(ordinary_events()[:18])
    page = Page(write_report(run))
    assert "this page shows the run up to iteration 100 of 200. If it is no longer running, go on with: " in (page.text)
    assert f"myna train --resume {run}" in page.text


def test_a_torn_last_line_is_passed_over(make_run: Make) -> None:
    run = make_run(ordinary_events())
    whole = Page(write_report(run)).source
    with (run / "log.jsonl").open("ab") as log:
        log.write(b'{"event": "report", "iteration": 210, "train_lo')
    assert Page(write_report(run)).source == whole


def test_a_run_that_has_not_begun_has_a_report_too(make_run: Make) -> None:
    run = make_run([])
    (run / "log.jsonl").unlink()
    (run / "environment.json").unlink()
    page = Page(write_report(run))
    assert "nothing measured yet" in page.text
    assert "No iteration has been reported yet" in page.text


def test_without_validation_data_the_train_loss_is_the_result(make_run: Make) -> None:
    events = [event for event in ordinary_events() if not isinstance(event, Evaluation)]
    page = Page(write_report(make_run(events)))
    assert "Train loss fell from 5.136 to 2.200" in page.text


def test_a_resumed_run_shows_each_split_once(make_run: Make) -> None:
    events = ordinary_events()
    page = Page(write_report(make_run([*events, *events[:2]])))
    assert page.texts.count("train") == 1


def test_an_event_of_a_later_version_is_passed_over(make_run: Make) -> None:
    run = make_run(ordinary_events())
    before = Page(write_report(run)).source
    with (run / "log.jsonl").open("a") as log:
        log.write('{"event": "from-the-future"}\n')
    assert Page(write_report(run)).source == before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"event": "report", "iteration": 9}, 'no "train_loss" in a report event'),
        (
            {"event": "notice", "iteration": -1, "text": "x"},
            '"iteration" is -1, expected a whole number from 0 on, in a',
        ),
        (
            {"event": "evaluation", **asdict(Evaluation(0, 1.0, 1, 1, 1.0, best=False)), "valid_loss": "1"},
            "a number, in",
        ),
        ({"iteration": 9}, 'no "event" that says what happened'),
    ],
)
def test_an_event_that_no_run_writes_is_named_with_its_line(make_run: Make, line: dict[str, object], said: str) -> None:
    run = make_run(ordinary_events())
    lines = (run / "log.jsonl").read_bytes().count(b"\n")
    with (run / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    with pytest.raises(RunError, match=rf"log\.jsonl:{lines + 1}: .*{said}.*Remove that line to go on"):
        write_report(run)


HOSTILE = (
    "</pre></title></style><script>alert(1)</script><img src=x onerror=alert(1)>"
    "\"' onload='{{ 7*7 }}{% raw %}&lt;\x00\x1b"
)


def test_hostile_text_stays_text_wherever_it_stands(make_run: Make) -> None:
    def run(word: str) -> Page:
        recipe = RECIPE.model_copy(update={"data": word, "model": word})
        events = [*ordinary_events(), Generated(0, word, word, word), Generated(9, word, word, word)]
        return Page(write_report(make_run([*events, Notice(1, word), *ending()], recipe, word)))

    hostile = run(HOSTILE)
    assert hostile.shape == run("harmless").shape
    assert "<script>alert(1)</script>" in hostile.text
    assert r"\x00\x1b" in hostile.text


@given(word=st.text(st.characters(codec="utf-8")))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_at_all_changes_the_shape_of_the_page(make_run: Make, word: str) -> None:
    def shape(prompt: str) -> list[tuple[str, list[str]]]:
        events = [Generated(0, prompt, prompt, prompt), Generated(200, prompt, prompt, prompt)]
        return Page(write_report(make_run([*events, Notice(0, prompt)]))).shape

    assert shape(word) == shape("word")


def test_a_lone_surrogate_in_the_log_does_not_stop_the_report(make_run: Make) -> None:
    run = make_run(ordinary_events())
    with (run / "log.jsonl").open("a") as log:
        log.write('{"event": "notice", "iteration": 0, "text": "half \\ud83d emoji"}\n')
    assert "half � emoji" in Page(write_report(run)).text


def test_a_very_long_run_gives_a_page_of_at_most_300_kilobytes(make_run: Make) -> None:
    events = ordinary_events(40_000, every=10, saved_every=100)
    samples = [
        Generated(step, f"{index}{'<&é語' * 9000}", "'" * 9000, "<" * 9000)
        for index in range(30)
        for step in (0, 40_000)
    ]
    notices = [Notice(0, f"{index} {'<' * 5000}") for index in range(500)]
    path = write_report(make_run([*events, *samples, *notices, *ending(40_000)]))
    assert path.stat().st_size <= 300_000
    page = Page(path)
    assert "23 more samples stand in log.jsonl." in page.text
    assert "more rows stand in log.jsonl." in page.text


def test_a_folder_that_is_no_run_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        write_report(tmp_path)


def test_a_damaged_environment_is_named(make_run: Make) -> None:
    run = make_run(ordinary_events())
    (run / "environment.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match=r"environment\.json: not JSON"):
        write_report(run)
