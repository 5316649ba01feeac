"""Promises of `compare`, kept by real runs: what is measured, judged, refused, and said to be missing."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import myna
from compared_runs import BY_HEART, QUESTIONS, by_heart, school, train
from myna.errors import DatabaseError, DataError, RecipeError, RunError
from myna.exporting.quantizing import quantize_model
from myna.recipe import load_recipe
from myna.reports.comparing import Comparison, Progress, compare
from myna.reports.comparing.comparable import comparability
from myna.reports.comparing.comparison import Subject
from myna.reports.comparing.measured import Order
from myna.reports.comparing.measured import TestLoss as MeasuredLoss  # pytest takes a class named Test… for tests
from myna.reports.comparing.measuring import measure
from myna.reports.comparing.runs import read_runs
from myna.training.preparation import keys_of
from scored_data import GOLD
from small_runs import events, write_lines


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs on the same data: `heart` answers everything with one query, `lora` has learnt little."""
    place = tmp_path_factory.mktemp("compared")
    by_heart(place)
    train(place, "lora")
    return place


@pytest.fixture(scope="module")
def heard() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def measured(place: Path, heard: list[Progress]) -> Comparison:
    """Both, measured and asked all test questions, and their page."""
    ballast = np.ones(700 * 2**20, np.uint8)  # the caller's memory is no run's
    comparison = compare(
        [place / "heart", place / "lora"],
        size=6,
        max_tokens=12,
        output=place / "pages" / "both.html",
        listener=heard.append,
    )
    assert ballast[-1]
    return comparison


def test_it_is_public() -> None:
    assert myna.compare is compare


def test_what_training_measured_is_read_from_the_logs(place: Path, measured: Comparison) -> None:
    for subject in measured.subjects:
        log = {name: events(place / subject.name, name) for name in ("report", "evaluation", "start", "finish")}
        shown = subject.as_dict()
        assert shown["finished"] is True
        assert shown["losses"]["train"] == [[each["iteration"], each["train_loss"]] for each in log["report"]]
        assert shown["losses"]["valid"] == [[each["iteration"], each["valid_loss"]] for each in log["evaluation"]]
        assert shown["trained_parameters"] == log["start"][-1]["trained_parameters"]
        assert shown["tokens_per_second"] == log["finish"][-1]["tokens_per_second"]
        assert shown["seconds"] == log["finish"][-1]["seconds"]
        assert shown["peak_memory_bytes"]["training"] == max(each["peak_memory_bytes"] for each in log["report"])


def test_sizes_are_those_of_the_files(place: Path, measured: Comparison) -> None:
    model = (place / "model" / "model.safetensors").stat().st_size
    for subject in measured.subjects:
        shown = subject.as_dict()
        assert shown["adapter_bytes"] == sum(
            file.stat().st_size for file in (place / subject.name / "adapter").iterdir()
        )
        assert 0 < model - shown["fused_bytes"] < 4096  # the header of the file
    full, lora = (subject.as_dict() for subject in measured.subjects)
    assert full["trained_share"] == 1.0
    assert lora["trained_share"] == lora["trained_parameters"] / (
        full["trained_parameters"] + lora["trained_parameters"]
    )


def test_the_test_loss_is_what_myna_test_measures(place: Path, measured: Comparison) -> None:
    for subject in measured.subjects:
        (score,) = myna.test(
            str(place / "model"), place / "data", adapter_path=place / subject.name, dtype="float32", device="cpu"
        )
        assert subject.test is not None
        assert subject.test.loss == pytest.approx(score.loss, rel=1e-6)  # the same float32 sums in another process
        assert (subject.test.tokens, subject.test.examples) == (score.tokens, score.examples)


def test_peak_memory_is_the_measuring_process_s_own(measured: Comparison) -> None:
    for subject in measured.subjects:
        assert subject.test is not None
        assert 50 * 2**20 < (subject.test.peak_memory_bytes or 0) < 700 * 2**20


def test_answers_are_judged_by_running_them(measured: Comparison) -> None:
    heart, lora = measured.subjects
    assert [answer.text for answer in heart.answers] == [BY_HEART] * 6
    assert {answer.by for answer in heart.answers} == {"execution"}
    right = [sql == GOLD[1] for sql in GOLD]
    assert [answer.right for answer in heart.answers] == right
    assert heart.judged == (1, 6)
    assert all(answer.cause for answer in heart.answers if not answer.right)
    assert len(lora.answers) == 6
    assert [question.asked for question in measured.questions] == list(QUESTIONS)
    assert heart.generating is not None
    assert (heart.generating.prompt_tokens_per_second or 0) > 0
    assert (heart.generating.generated_tokens_per_second or 0) > 0


def test_progress_is_told_run_by_run(measured: Comparison, heard: list[Progress]) -> None:
    each = [Progress("", "testing"), *(Progress("", "answering", number, 6) for number in range(1, 7))]
    assert [(event.run, event.stage, event.number) for event in heard] == [
        (name, event.stage, event.number) for name in ("heart", "lora") for event in each
    ]


def test_same_data_template_and_mask_make_losses_comparable(measured: Comparison) -> None:
    assert [(each.kind, each.comparable) for each in measured.losses] == [
        ("train", True),
        ("valid", True),
        ("test", True),
    ]


def found(run: Path, **settings: Any) -> tuple[list[dict[str, Any]], MeasuredLoss]:
    """Measure the test loss of a run in this process; return what was told, and the loss."""
    recipe = load_recipe(run / "recipe.yaml").recipe
    usual: dict[str, Any] = {
        "model": recipe.model,
        "data": recipe.data,
        "keys": asdict(keys_of(recipe)),
        **{
            name: getattr(recipe, name) for name in ("max_seq_length", "mask_prompt", "long_examples", "on_bad_example")
        },
        **{name: getattr(recipe, name) for name in ("engine", "dtype", "device")},
    }
    told: list[dict[str, Any]] = []
    measure(Order(run=str(run), wanted=None, questions=(), max_tokens=1, **{**usual, **settings}), told.append)
    return told, MeasuredLoss(**told[-1]["test"])


def test_a_test_loss_is_kept_until_something_changes(place: Path, measured: Comparison, tmp_path: Path) -> None:
    copy = shutil.copytree(place / "lora", tmp_path / "copy")
    told, test = found(copy)
    assert "stage" not in told[0]
    assert test.kept
    assert test.loss == _loss(measured.subjects[1])
    shutil.rmtree(copy / "adapter")
    shutil.copytree(copy / "checkpoints" / "000002", copy / "adapter")
    told, changed = found(copy)
    assert told[0] == {"stage": "testing"}
    assert changed.loss != test.loss
    assert found(copy)[1] == replace(changed, kept=True)
    told, unmasked = found(copy, mask_prompt=False)
    assert told[0] == {"stage": "testing"}
    assert unmasked.tokens > changed.tokens


def test_a_run_folder_that_can_not_be_written_to_is_measured_all_the_same(place: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(place / "lora", tmp_path / "copy", ignore=shutil.ignore_patterns("measured"))
    (copy / "measured").write_text("in the way")
    assert not found(copy)[1].kept


def _loss(subject: Subject) -> float | None:
    return None if subject.test is None else subject.test.loss


def test_without_measuring_only_the_logs_speak(place: Path) -> None:
    comparison = compare([place / "heart", place / "lora"], measure=False)
    assert all(subject.test is None and not subject.answers for subject in comparison.subjects)
    assert all("no test loss: it was not measured" in subject.missing for subject in comparison.subjects)
    with pytest.raises(RecipeError, match="are for measuring"):
        compare([place / "heart", place / "lora"], measure=False, data=place / "data")


def test_losses_under_another_mask_are_not_comparable(place: Path, tmp_path: Path) -> None:
    train(place, "unmasked", mask_prompt=False, iters=2)
    comparison = compare([place / "lora", place / "unmasked"], measure=False, output=tmp_path / "page.html")
    refused = {each.kind: str(each) for each in comparison.losses if not each.comparable}
    assert refused.keys() == {"train", "valid"}
    assert refused["valid"] == (
        "Validation losses can't be compared; what differs: the mask "
        "(as the format has it in lora; all tokens in unmasked)."
    )
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("<figcaption>\n<b>Validation loss") == 2  # each in a chart of its own
    assert "Validation loss, best ≠" in page
    assert "(best)" not in page.split("Loss</th>")[1].split("Speed</th>")[0]


def test_saying_what_the_format_does_anyway_makes_no_difference(place: Path) -> None:
    train(place, "said", mask_prompt=True, iters=2, max_seq_length=500)
    comparison = compare([place / "lora", place / "said"], measure=False)
    assert all(each.comparable for each in comparison.losses)


def test_a_packed_base_is_counted_as_what_it_stands_for(place: Path) -> None:
    quantize_model(str(place / "model"), place / "packed", group_size=32, keep=("mlp.down_proj",))
    train(place, "qlora", model=place / "packed", iters=2)
    comparison = compare([place / "lora", place / "qlora"], measure=False)
    assert all(each.comparable for each in comparison.losses)  # another base, the same tokens
    plain, packed = (subject.as_dict() for subject in comparison.subjects)
    assert (plain["method"], packed["method"]) == ("LoRA rank 2", "QLoRA rank 2")
    assert (plain["weights"], packed["weights"]) == ("float32", "4 bits in groups of 32")
    assert plain["trained_share"] == packed["trained_share"]
    assert plain["fused_unpacked_bytes"] is None
    assert packed["fused_unpacked_bytes"] == plain["fused_bytes"] > 2 * packed["fused_bytes"]


def test_losses_on_other_data_are_not_comparable(place: Path) -> None:
    other = school(place / "other")
    write_lines(other / "train.jsonl", [{"prompt": "More?", "completion": BY_HEART}] * 6)
    train(place, "elsewhere", data=other, iters=2)
    comparison = compare([place / "lora", place / "elsewhere"], measure=False)
    refused = {each.kind: [difference.what for difference in each.differences] for each in comparison.losses}
    assert refused == {"train": ["the training data"], "valid": [], "test": []}


def test_losses_by_another_template_are_not_comparable(place: Path) -> None:
    shutil.copytree(place / "model", place / "retold")
    config = json.loads((place / "retold" / "tokenizer_config.json").read_text())
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}"
    (place / "retold" / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": template}))
    retold = train(place, "template", model=place / "retold", iters=2)
    runs = read_runs([place / "lora", retold], fetch=False)
    for each in comparability(runs, [found(place / "lora")[1], found(retold)[1]]):
        assert each.as_dict() == {
            "comparable": False,
            "differences": [
                {
                    "what": "the tokenizer or chat template",
                    "runs": {"lora": "that of model", "template": "that of retold"},
                }
            ],
        }


def test_what_is_not_there_is_said_and_the_rest_is_shown(place: Path, tmp_path: Path) -> None:
    """One run was killed and has no test data any more, the other one's base model is gone."""
    model = shutil.copytree(place / "model", tmp_path / "gone")
    orphan = train(tmp_path, "orphan", model=model, data=place / "data", iters=2)
    shutil.rmtree(model)
    data = shutil.copytree(place / "data", tmp_path / "data")
    killed = train(tmp_path, "killed", model=place / "model", data=data)
    (data / "test.jsonl").unlink()
    log = [line for line in (killed / "log.jsonl").read_text().splitlines(keepends=True) if '"finish"' not in line]
    (killed / "log.jsonl").write_text("".join(log))
    questions = tmp_path / "questions.jsonl"
    bare = {"question": "How many are there?", "gold": "SELECT count(*) FROM students"}
    write_lines(questions, [bare, {"prompt": "<script>alert(1)</script>\x07", "completion": "<b>"}])
    comparison = compare([killed, orphan], questions=questions, max_tokens=4, output=tmp_path / "page.html")
    unfinished, without = comparison.subjects
    assert unfinished.missing[0] == "not finished: the run is at iteration 8 of 8"
    assert "no test.jsonl" in unfinished.missing[1]
    assert f"the base model is not to be had: {model}: no such folder" in without.missing[0]
    assert without.missing[1].startswith("not measured: ")
    assert (without.test, without.answers) == (None, ())
    assert without.as_dict()["losses"]["train"]
    # the data folder has one database: the model was told its schema, and the answer ran on it
    assert [answer.by for answer in unfinished.answers] == ["execution", None]
    assert [question.where for question in comparison.questions] == [f"{questions}:1", f"{questions}:2"]
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "no such folder" in page
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x07" in page


def test_a_database_that_can_not_be_opened_is_said_before_anything_is_measured(place: Path, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"nothing\.sqlite"):
        compare([place / "heart", place / "lora"], database=tmp_path / "nothing.sqlite")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", b"\n\n", "no question in it"),
        ("gold.txt", b"\tSELECT 1\n", r"gold\.txt:1: no question before the SQL"),
        ("latin.txt", "Wie groß?\n".encode("latin-1"), r"latin\.txt:1: not UTF-8"),
        ("bad.jsonl", b'{"question": "a"}\n{"asked": "b"}\n', r"bad\.jsonl:2: expected .*found: asked"),
        ("torn.jsonl", b'{"question": \n', r"torn\.jsonl:1: not JSON"),
    ],
)
def test_a_bad_file_of_questions_is_named_with_its_line(
    place: Path, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        compare([place / "heart", place / "lora"], questions=tmp_path / name)


def test_what_can_not_be_compared_at_all_is_an_error(place: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="two runs or more"):
        compare([place / "heart"])
    with pytest.raises(RecipeError, match="named twice"):
        compare([place / "heart", place / "pages" / ".." / "heart"])
    with pytest.raises(RunError, match="not a run folder"):
        compare([place / "heart", place / "data"])
    with pytest.raises(RecipeError, match="test_batches is 0"):
        compare([place / "heart", place / "lora"], test_batches=0)
    with pytest.raises(RunError, match=r"end it in \.html"):
        compare([place / "heart", place / "lora"], measure=False, output=tmp_path / "notes.md")


def test_runs_of_one_name_are_told_apart_by_their_folders(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "lora", tmp_path / "one" / "run")
    shutil.copytree(place / "heart", tmp_path / "two" / "run")
    comparison = compare([tmp_path / "one" / "run", tmp_path / "two" / "run"], measure=False)
    assert [subject.name for subject in comparison.subjects] == ["one/run", "two/run"]


class _Tags(HTMLParser):
    """Whether every tag is closed, and what the tags fetch."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str | None] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "img", "iframe"}
        self.fetched += [value for name, value in attrs if name in ("src", "href")]
        if tag not in {"meta", "link"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None: ...

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing(place: Path, measured: Comparison) -> None:
    assert measured.report == place / "pages" / "both.html"
    source = measured.report.read_text("utf-8")
    tags = _Tags(source)
    assert tags.open == []
    assert tags.fetched == ["data:,"]
    assert "has the lowest test loss" in source
    assert "Right answers: heart 1 of 6" in source
    assert source.count('class="verdict right"') == sum(
        bool(each.right) for run in measured.subjects for each in run.answers
    )
