"""Promises about lengths and ends: the check says of a model's samples what training would do with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from myna.checking import check
from myna.data.folder import open_split
from myna.errors import ModelError
from myna.prompts.builder import PromptBuilder
from small_data import chat, clean, found, pair, places, write

STORIES = Path(__file__).parents[2] / "examples" / "stories260K"
NO_END = (
    "{% for m in messages %}{{ '# ' + m.role + '\n' + m.content + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}# assistant\n{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}"
    "{% if m.role != 'system' %}{{ '# ' + m.role + '\n' + m.content + '</s>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}# assistant\n{% endif %}"
)


def tokenizer(folder: Path, template: str | None = None) -> str:
    """Copy the small model's tokenizer, without its weights, and give it a chat template."""
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(STORIES / name, folder / name)
    if template is not None:
        settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": template}), "utf-8")
    return str(folder)


def test_lengths_are_those_of_the_samples_that_training_sees(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", train=[*clean(0, 40), chat("Tell me", "a story " * 60)])
    model = tokenizer(tmp_path / "model", NO_SYSTEM)
    builder = PromptBuilder.load(Path(model))
    samples = [
        sample
        for example in open_split(folder, "train")
        for sample in builder.samples(example, max_tokens=2048).samples
    ]
    lengths = sorted(map(len, samples))
    result = check(folder, model=model)
    assert result.findings == ()
    measured = result.splits["train"].lengths
    assert measured is not None
    assert (measured.half, measured.most, measured.longest) == (lengths[20], lengths[38], lengths[40])
    assert measured.tokens == sum(lengths)
    assert measured.trained == sum(int(sample.trained.sum()) for sample in samples)


def test_examples_over_the_limit_are_counted_with_the_flag_that_keeps_them(tmp_path: Path) -> None:
    long = [chat("Tell me", "a story " * 60), chat("Tell me more", "another story " * 90)]
    folder = write(tmp_path / "data", train=[*clean(0, 20), long[0]], test=[long[1], *clean(20, 23)])
    model = tokenizer(tmp_path / "model", NO_SYSTEM)
    findings = found(folder, model=model, max_seq_length=100)
    assert findings.keys() == {"too long"}
    too_long = findings["too long"]
    assert (too_long.severity, too_long.count, places(too_long)) == ("warning", 2, ["train.jsonl:21", "test.jsonl:1"])
    summary = check(folder, model=model, max_seq_length=100).splits["test"].lengths
    assert summary is not None
    assert f"--max-seq-length {summary.longest}" in too_long.message
    assert "too long" not in found(folder, model=model, max_seq_length=summary.longest)


def test_a_split_of_which_nothing_is_learnt_is_serious(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", train=clean(0, 5))
    nothing = found(folder, model=str(STORIES), max_seq_length=3)["nothing learnt"]
    assert (nothing.severity, nothing.count) == ("serious", 5)


def test_long_texts_are_split_and_said_so(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", train=[{"text": "A long story. " * 50 + "</s>"}, {"text": "Short.</s>"}])
    result = check(folder, model=str(STORIES), max_seq_length=64)
    messages = [finding.message for finding in result.findings]
    assert "texts over 64 tokens are split into windows (1 in train.jsonl)" in messages
    measured, whole = result.splits["train"].lengths, check(folder, model=str(STORIES)).splits["train"].lengths
    assert measured is not None
    assert whole is not None
    assert (measured.longest, measured.trained) == (whole.longest, whole.trained)


def test_a_conversation_that_does_not_end_with_its_answer_may_not_teach_to_stop(tmp_path: Path) -> None:
    unended = chat("Who?", "Ann")
    unended["messages"].append({"role": "user", "content": "Thanks!"})
    folder = write(tmp_path / "data", train=[*clean(0, 3), unended])
    findings = found(folder, model=tokenizer(tmp_path / "model", NO_END))
    assert (findings["end not learnt"].severity, places(findings["end not learnt"])) == ("serious", ["train.jsonl:4"])
    assert "end not learnt" not in found(folder, model=tokenizer(tmp_path / "other", NO_SYSTEM))


@pytest.mark.parametrize("mask_prompt", [None, True, False])
def test_every_kind_of_example_learns_its_end(mask_prompt: bool | None, tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [chat("Who?", "Ann"), pair("How many?", "Three of them")]
    if mask_prompt is not True:
        records.append({"text": "Once upon a time</s>"})
    folder = write(tmp_path / "data", train=records)
    for number, template in enumerate((None, NO_END, NO_SYSTEM)):
        model = tokenizer(tmp_path / str(number), template)
        kinds = {finding.kind for finding in check(folder, model=model, mask_prompt=mask_prompt).findings}
        assert kinds <= {"prompt builder"}


def test_what_a_template_refuses_is_serious_and_the_rest_is_measured(tmp_path: Path) -> None:
    refused = chat("Who?", "Ann")
    refused["messages"].insert(1, {"role": "tool", "content": "3"})
    folder = write(tmp_path / "data", train=[refused, *clean(0, 3)])
    findings = found(folder, model=tokenizer(tmp_path / "model", NO_SYSTEM))
    finding = findings["refused by tokenizer"]
    assert (finding.severity, places(finding)) == ("serious", ["train.jsonl:1"])
    assert "no tools here" in finding.examples[0].excerpt


def test_what_a_template_leaves_out_is_a_note(tmp_path: Path) -> None:
    example = chat("Who?", "Ann")
    example["messages"].insert(0, {"role": "system", "content": "Answer briefly"})
    findings = found(write(tmp_path / "data", train=[example]), model=tokenizer(tmp_path / "model", NO_SYSTEM))
    assert findings["prompt builder"].severity == "note"
    assert "leaves out or rewrites system messages (1 in train.jsonl)" in findings["prompt builder"].message


def test_a_model_that_is_not_there_is_an_error_before_the_data_is_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        check(tmp_path / "nowhere", model=str(tmp_path / "model"))
