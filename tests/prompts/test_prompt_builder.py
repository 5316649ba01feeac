"""Promises of the prompt builder, for every tokenizer: what is asked is what was trained, and answers end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from myna.data.example import Example, Message, Source
from myna.errors import PromptError
from myna.prompts.builder import PromptBuilder
from myna.prompts.sample import Sample

SHARED = Path(__file__).parents[3] / "shared" / "data"
HERE = Source("train.jsonl", 17)
Build = Callable[[str, str], PromptBuilder]
Load = Callable[[str], PromptBuilder]

often = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
WORDS = [
    "SELECT",
    " name",
    "的学生",
    "数据库",
    "🐦",
    "👩‍💻",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "A: ",
    "é",
    "é",
    "'s",
    "<",
    "[",
    "12",
]
LITERALS = [
    "<s>",
    "</s>",
    "<unk>",
    "<|im_start|>",
    "<|im_end|>",
    "[INST]",
    "[/INST]",
    "<|endoftext|>",
    "<|im_",
    "end|>",
]
texts = st.lists(st.sampled_from(WORDS), max_size=8).map("".join) | st.text(max_size=12).filter(
    lambda text: not any(literal in text for literal in [*LITERALS, "think>"])
)
answers = texts.filter(lambda text: bool(text.strip()))
wild_texts = st.lists(st.sampled_from(WORDS + LITERALS), min_size=1, max_size=8).map("".join)
wild_questions = wild_texts.filter(lambda text: bool(text.strip()))
wild_answers = wild_questions


def conversations(texts: Any, answers: Any) -> Any:
    """Return conversations of one to three turns, with a system message or without."""
    turn = st.tuples(texts, answers).map(
        lambda pair: [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
    )
    turns = st.lists(turn, min_size=1, max_size=3).map(lambda turns: [each for turn in turns for each in turn])
    systems = texts.map(lambda text: [{"role": "system", "content": text}])
    return st.tuples(st.just([]) | systems, turns).map(lambda pair: pair[0] + pair[1])


def chat(messages: Any, tools: Any = None) -> Example:
    return Example("chat", HERE, messages=tuple(messages), tools=tools)


def completion(prompt: str, answer: str) -> Example:
    return Example(
        "completion",
        HERE,
        messages=({"role": "user", "content": prompt}, {"role": "assistant", "content": answer}),
    )


def one(builder: PromptBuilder, example: Example, **options: Any) -> Sample:
    made = builder.samples(example, **{"max_tokens": 10_000} | options)
    (sample,) = made.samples
    return sample


def library_tokens(builder: PromptBuilder, messages: Any, **options: Any) -> list[int]:
    tokens = builder._tokenizer.apply_chat_template(list(messages), tokenize=True, return_dict=False, **options)
    return list(tokens)


def spans(sample: Sample) -> list[list[int]]:
    """Return the runs of trained tokens."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], sample.trained, [False]])))
    return [sample.tokens[start:stop].tolist() for start, stop in edges.reshape(-1, 2)]


@given(messages=conversations(texts, answers))
@often
def test_a_conversation_has_the_tokens_of_the_chat_template(
    chat_builder: PromptBuilder, messages: list[Message]
) -> None:
    tokens = one(chat_builder, chat(messages)).tokens.tolist()
    expected = library_tokens(chat_builder, messages)
    prompts = [
        library_tokens(chat_builder, messages[:index], add_generation_prompt=True)
        for index, message in enumerate(messages)
        if message["role"] == "assistant"
    ]
    assert chat_builder.prompt(messages[:-1])[: len(prompts[0])].tolist() == prompts[0]
    if all(expected[: len(prompt)] == prompt for prompt in prompts):
        # A template that ends with no end token gets one.
        assert tokens[: len(expected)] == expected
        assert len(tokens) - len(expected) in (0, 1)
        assert chat_builder.prompt(messages[:-1]).tolist() == prompts[-1]
    else:  # a token would straddle the place where the model is asked
        assert tokens[: len(prompts[0])] == prompts[0]


@given(messages=conversations(wild_questions, wild_answers))
@often
def test_a_training_prompt_has_the_tokens_the_model_is_asked_with(
    any_builder: PromptBuilder, messages: list[Message]
) -> None:
    sample = one(any_builder, chat(messages))
    asked = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    for index in asked:
        prompt = any_builder.prompt(messages[:index])
        assert sample.tokens[: len(prompt)].tolist() == prompt.tolist()
        assert sample.trained[len(prompt)]
        assert not sample.trained[len(prompt) - 1]
    assert len(spans(sample)) == len(asked)


@given(prompt=wild_texts, answer=wild_answers)
@often
def test_a_prompt_with_completion_is_asked_as_it_was_trained(
    any_builder: PromptBuilder, prompt: str, answer: str
) -> None:
    sample = one(any_builder, completion(prompt, answer))
    asked = any_builder.prompt([{"role": "user", "content": prompt}])
    assert sample.tokens[: len(asked)].tolist() == asked.tolist()
    assert np.flatnonzero(sample.trained)[0] == max(len(asked), 1)


@given(messages=conversations(wild_questions, wild_answers))
@often
def test_every_answer_ends_with_one_trained_end_token_and_nothing_after_it(
    chat_builder: PromptBuilder, messages: list[Message]
) -> None:
    sample = one(chat_builder, chat(messages))
    trained_ends = [[token in chat_builder.end_tokens for token in span] for span in spans(sample)]
    *earlier, last = trained_ends
    assert last[-1]
    assert sum(last) == 1
    if chat_builder._tokenizer.chat_template.startswith("{{ bos_token }}{% for m"):
        assert not any(map(any, earlier))  # a template that ends no turn: only the end of all is marked
    else:
        assert all(ends[-1] and sum(ends) == 1 for ends in earlier)


@given(messages=conversations(wild_questions, wild_answers))
@often
def test_control_tokens_in_data_are_text(any_builder: PromptBuilder, messages: list[Message]) -> None:
    harmless = [{**message, "content": "a"} for message in messages]
    sample, reference = one(any_builder, chat(messages)), one(any_builder, chat(harmless))

    def controls(sample: Sample) -> list[int]:
        # An unknown character is no control token, though its token is called special.
        unknown = any_builder._tokenizer.unk_token_id
        return [token for token in sample.tokens.tolist() if any_builder.is_control(token) and token != unknown]

    assert controls(sample) == controls(reference)


@given(pieces=st.lists(st.sampled_from(LITERALS), min_size=2, max_size=4))
@example(pieces=["<|im_", "end|>"])
@example(pieces=["</", "s>"])
@often
def test_pieces_of_data_do_not_join_into_a_control_token(made_builder: Build, pieces: list[str]) -> None:
    builder = made_builder("byte-level", "chatml")
    parts = [{"type": "text", "text": piece} for piece in pieces]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": "a"}]
    sample = one(builder, chat(messages))
    assert sum(builder.is_control(token) for token in sample.tokens.tolist()) == 4
    assert builder.decode(sample.tokens).startswith("user\n" + "".join(pieces))


@given(prompt=texts, answer=answers)
@often
def test_the_beginning_token_stands_once_and_first(any_builder: PromptBuilder, prompt: str, answer: str) -> None:
    begin = any_builder._texts._begin
    first = any_builder._controls.ids.get(begin or "")
    for text in (answer, f"<s>{answer}", f" <s><s>{answer}</s>", f"{answer}</s>\n"):
        tokens = one(any_builder, Example("text", HERE, text=text)).tokens.tolist()
        assert tokens.count(first) == (first is not None)
        assert first is None or tokens[0] == first
        assert sum(token in any_builder.end_tokens for token in tokens) == 1
        assert tokens[-1] in any_builder.end_tokens
    if any_builder.has_chat_template and "bos_token" not in any_builder._tokenizer.chat_template:
        return
    tokens = one(any_builder, completion(prompt, answer)).tokens.tolist()
    assert tokens.count(first) == 1
    assert tokens[0] == first


@pytest.mark.parametrize("name", ["stories260K", "sentencepiece-legacy", "sentencepiece-first", "byte-level"])
def test_a_prompt_that_ends_in_a_space_leaves_the_space_to_the_answer(
    made_builder: Build, real_builder: Load, name: str
) -> None:
    builder = real_builder(name) if name == "stories260K" else made_builder(name, "plain")
    question = "table: students\nQ: how many?\nA:"
    spaced, natural = one(builder, completion(f"{question} ", "SELECT 1")), builder._tokenizer(f"{question} SELECT 1")
    assert spaced.tokens.tolist() == [*natural["input_ids"], builder._tokenizer.eos_token_id]
    assert builder.text_prompt(f"{question} ").tolist() == builder.text_prompt(question).tolist()
    assert builder.prompt([{"role": "user", "content": f"{question} "}]).tolist() == (
        builder.text_prompt(question).tolist()
    )
    first = spans(spaced)[0]
    assert builder._backend.id_to_token(first[0])[0] in "▁Ġ"
    assert builder.decode(first).strip() == "SELECT 1"
    text = one(builder, Example("text", HERE, text=f"{question} SELECT 1"))
    assert text.tokens.tolist() == spaced.tokens.tolist()
    assert text.trained.tolist() == [False] + [True] * (len(text) - 1)


def test_conversations_without_a_template_are_plain_text(plain_builder: PromptBuilder) -> None:
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Because."},
        {"role": "user", "content": "Oh\n"},
        {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
    ]
    sample = one(plain_builder, chat(messages))
    shown = "".join(map(plain_builder.token_text, sample.tokens.tolist())).removeprefix("<s>").strip()
    assert shown.replace("</s> ", "</s>").replace("<0x0A>", "\n") == "Be short.\n\nWhy? Because.</s>Oh\nYes.</s>"
    assert [plain_builder.decode(span).strip() for span in spans(sample)] == ["Because.", "Yes."]
    call = {"role": "assistant", "tool_calls": [{"name": "f"}]}
    with pytest.raises(PromptError, match=r"train\.jsonl:17: the model has no chat template"):
        one(plain_builder, chat([messages[1], call, messages[2]]))
    with pytest.raises(PromptError, match=r"train\.jsonl:17: message 2 .* part of type 'image'"):
        one(plain_builder, chat([messages[1], {"role": "user", "content": [{"type": "image"}]}, messages[2]]))
    with pytest.raises(PromptError, match="which tools need"):
        one(plain_builder, chat(messages, tools=({"type": "function"},)))


TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "run_sql",
            "description": "运行 </s> SQL",
            "parameters": {"type": "object", "properties": {"sql": {"type": "string"}}},
        },
    },
)


@pytest.mark.parametrize("name", ["qwen2.5", "minimind"])
def test_tools_and_tool_calls_go_to_the_template(real_builder: Load, name: str) -> None:
    builder = real_builder(name)
    call = {"type": "function", "function": {"name": "run_sql", "arguments": {"sql": "SELECT 1"}}}
    messages = [
        {"role": "user", "content": "How many?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "1"},
        {"role": "assistant", "content": "One."},
    ]
    sample = one(builder, chat(messages, TOOLS))
    assert sample.tokens.tolist() == library_tokens(builder, messages, tools=list(TOOLS))
    learnt = [builder.decode(span) for span in spans(sample)]
    assert "SELECT 1" in learnt[0]
    assert learnt[1] == "One."
    asked = builder.prompt(messages[:3], TOOLS)
    assert sample.tokens[: len(asked)].tolist() == asked.tolist()


def test_tools_that_a_template_has_no_place_for_are_told(real_builder: Load) -> None:
    made = real_builder("mistral_v1").samples(
        chat([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], TOOLS), max_tokens=99
    )
    assert made.notices == ("the chat template has no place for tools; they are left out",)


def test_a_refusal_of_the_template_names_the_line_and_its_reason(real_builder: Load) -> None:
    twice = [{"role": "user", "content": "q"}] * 2 + [{"role": "assistant", "content": "a"}]
    with pytest.raises(PromptError, match=r"train\.jsonl:17: .*roles must alternate.*user, user, assistant"):
        one(real_builder("mistral_v3"), chat(twice))


def test_roles_that_a_template_drops_are_told(real_builder: Load) -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "human", "content": "lost words"},
        {"role": "assistant", "content": "a"},
    ]
    made = real_builder("qwen2.5").samples(chat(messages), max_tokens=99)
    assert made.notices == ("the chat template leaves out or rewrites human messages",)


@pytest.mark.parametrize("kind", ["byte-level", "sentencepiece-legacy", "sentencepiece-first"])
def test_a_template_that_rewrites_past_answers_gives_each_answer_its_own_sample(made_builder: Build, kind: str) -> None:
    builder = made_builder(kind, "thinking")
    messages = [{"role": role, "content": f"{role} {number}"} for number in range(3) for role in ("user", "assistant")]
    made = builder.samples(chat(messages), max_tokens=999)
    assert len(made.samples) == 3
    for number, sample in enumerate(made.samples):
        asked = messages[: 2 * number + 1]
        prompt = builder.prompt(asked)
        assert sample.tokens.tolist() == library_tokens(builder, messages[: 2 * number + 2])
        assert sample.tokens[: len(prompt)].tolist() == prompt.tolist()
        (learnt,) = spans(sample)
        assert builder.decode(learnt).endswith(f"assistant {number}")
        assert learnt[-1] in builder.end_tokens
    assert "rewrites past answers" in made.notices[0]
    whole = one(builder, chat(messages), mask_prompt=False)
    assert whole.tokens.tolist() == library_tokens(builder, messages)
    assert whole.trained.sum() == len(whole) - 1


def test_an_end_of_text_after_the_end_of_turn_is_not_learnt(made_builder: Build) -> None:
    builder = made_builder("byte-level", "end-of-text")
    messages = [{"role": role, "content": f"{role} {number}"} for number in range(2) for role in ("user", "assistant")]
    sample = one(builder, chat(messages))
    assert sample.tokens.tolist() == library_tokens(builder, messages)
    ends = {builder._backend.token_to_id(name) for name in ("<|im_end|>", "</s>")}
    assert builder.end_tokens == ends
    assert [builder.decode(span) for span in spans(sample)] == ["assistant 0", "assistant 1"]
    assert [builder.token_text(span[-1]) for span in spans(sample)] == ["<|im_end|>", "<|im_end|>"]
    assert builder.token_text(int(sample.tokens[-1])) == "</s>"


def test_a_template_that_asks_otherwise_than_it_writes_is_refused_by_name(made_builder: Build) -> None:
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    with pytest.raises(PromptError, match=r"asks for an answer with '<think>\\n' but writes 'a<\|im_end\|>\\n'"):
        one(made_builder("byte-level", "open-thought"), chat(messages))


def test_without_masking_everything_is_learnt(any_builder: PromptBuilder) -> None:
    sample = one(any_builder, completion("Q: how many?", "SELECT 1"), mask_prompt=False)
    assert sample.trained.tolist() == [False] + [True] * (len(sample) - 1)
    masked = one(any_builder, completion("Q: how many?", "SELECT 1"))
    assert sample.tokens.tolist() == masked.tokens.tolist()


@pytest.mark.parametrize("name", ["llama2", "mistral_v1", "mistral_v3"])
def test_a_ready_made_instruction_text_equals_the_template(real_builder: Load, name: str) -> None:
    builder = real_builder(name)
    messages = [{"role": role, "content": f"{role} {number}"} for number in range(2) for role in ("user", "assistant")]
    written = builder._tokenizer.apply_chat_template(messages, tokenize=False)
    assert written.startswith("<s>[INST] user 0 [/INST] assistant 0")
    example = Example("text", HERE, text=written)
    made = builder.samples(example, max_tokens=999)
    assert made.samples[0].tokens.tolist() == library_tokens(builder, messages)
    assert made.samples[0].trained.sum() == len(made.samples[0]) - 1
    assert [notice.split()[0] for notice in made.notices] == ["<s>", "</s>", "[INST]"]
    masked = one(builder, example, mask_prompt=True)
    assert masked.tokens.tolist() == made.samples[0].tokens.tolist()
    assert spans(masked) == spans(one(builder, chat(messages)))
    asked = builder.text_prompt(written[: written.index("[/INST]") + len("[/INST]")])
    assert asked.tolist() == builder.prompt(messages[:1]).tolist()


def test_a_text_can_be_masked_only_where_its_turns_show(any_builder: PromptBuilder) -> None:
    with pytest.raises(PromptError, match=r'train\.jsonl:17: a "text" has no prompt to mask'):
        one(any_builder, Example("text", HERE, text="Q: how many?\nA: 1"), mask_prompt=True)
    for nothing in ("<s></s>", " <s> "):
        with pytest.raises(PromptError, match="nothing but markers"):
            one(any_builder, Example("text", HERE, text=nothing))


def test_control_tokens_inside_a_text_are_told(any_builder: PromptBuilder) -> None:
    made = any_builder.samples(Example("text", HERE, text="one <unk> two </s> three"), max_tokens=99)
    name = next((name for name in ("<unk>", "</s>") if name in any_builder._controls.ids), None)
    told = f"{name} inside a text is taken as plain text; use messages for real turns"
    assert made.notices == ((told,) if name else ())
    assert "one <unk> two </s> three" in any_builder.decode(made.samples[0].tokens)


@given(text=answers, max_tokens=st.integers(8, 40), repeated=st.integers(1, 40))
@often
def test_a_long_text_is_split_so_that_every_token_is_learnt_once(
    any_builder: PromptBuilder, text: str, max_tokens: int, repeated: int
) -> None:
    example = Example("text", HERE, text=text * repeated)
    whole = one(any_builder, example)
    parts = any_builder.samples(example, max_tokens=max_tokens).samples
    assert all(2 <= len(part) <= max_tokens for part in parts)
    assert [token for part in parts for token in part.tokens[part.trained]] == whole.tokens[1:].tolist()
    assert parts[0].tokens[0] == whole.tokens[0]
    assert sum(token in any_builder.end_tokens for part in parts for token in part.tokens) == 1


def test_a_long_example_is_left_out_counted_or_refused(any_builder: PromptBuilder) -> None:
    example = completion("Which students? " * 40, "SELECT name FROM students")
    length = len(one(any_builder, example))
    made = any_builder.samples(example, max_tokens=length - 1)
    assert (made.samples, made.skipped_tokens) == ((), length)
    assert any_builder.samples(example, max_tokens=length).skipped_tokens is None
    with pytest.raises(PromptError, match=rf"train\.jsonl:17: .*{length} tokens.*--max-seq-length {length}"):
        any_builder.samples(example, max_tokens=length - 1, long_examples="error")


@given(messages=conversations(wild_texts.map(lambda text: text * 9), wild_answers), fraction=st.floats(0.3, 1))
@often
def test_shortening_questions_keeps_answers_and_control_tokens_whole(
    any_builder: PromptBuilder, messages: list[Message], fraction: float
) -> None:
    whole = one(any_builder, chat(messages))
    max_tokens = max(8, int(len(whole) * fraction))
    made = any_builder.samples(chat(messages), max_tokens=max_tokens, long_examples="truncate-prompt")
    if made.skipped_tokens is not None:
        emptied = [
            {**message, "content": re.sub(r"^.*[^ ]", "…", message["content"], flags=re.DOTALL)}
            if message["role"] == "user"
            else message
            for message in messages
        ]
        assert len(one(any_builder, chat(emptied))) > max_tokens
        assert (made.samples, made.truncated) == ((), False)
        return
    (sample,) = made.samples
    assert len(sample) <= max_tokens
    assert made.truncated == (len(whole) > max_tokens)
    assert [span[-1] for span in spans(sample)] == [span[-1] for span in spans(whole)]
    assert [any_builder.decode(span) for span in spans(sample)] == [any_builder.decode(span) for span in spans(whole)]
    controls = [[token for token in each.tokens if any_builder.is_control(token)] for each in (sample, whole)]
    assert controls[0] == controls[1]


def test_a_shortened_question_keeps_its_beginning_and_end(any_builder: PromptBuilder) -> None:
    example = completion("table: students " + "column, " * 200 + "Q: how many? A: ", "SELECT 1")
    made = any_builder.samples(example, max_tokens=150, long_examples="truncate-prompt")
    (sample,) = made.samples
    text = any_builder.decode(sample.tokens)
    assert made.truncated
    assert 120 <= len(sample) <= 150
    assert "table: students column" in text
    assert " … " in text
    assert "Q: how many? A:" in text


def test_what_is_no_text_is_refused(any_builder: PromptBuilder) -> None:
    for ask in (any_builder.text_prompt, lambda text: any_builder.prompt([{"role": "user", "content": text}])):
        with pytest.raises(PromptError, match="half of a surrogate pair"):
            ask("a\udcff")


def test_a_template_that_prints_the_date_is_told_the_one_that_was_fixed(made_builder: Build, tmp_path: Path) -> None:
    made_builder("byte-level", "dated")._tokenizer.save_pretrained(tmp_path)
    builders = [PromptBuilder.load(tmp_path, day=day) for day in (date(2024, 2, 1), date(2025, 3, 1))]
    question = {"role": "user", "content": "q"}
    for _ in range(2):  # transformers keeps one compiled template for both
        for builder, said in zip(builders, ("01 Feb 2024", "01 Mar 2025"), strict=True):
            assert builder.decode(builder.prompt([question])).startswith(said)
            sample = one(builder, chat([question, {"role": "assistant", "content": "a"}]))
            assert builder.decode(sample.tokens).startswith(said)
    assert builders[0].content_hash != builders[1].content_hash
    assert PromptBuilder.load(tmp_path, day=date(2024, 2, 1)).content_hash == builders[0].content_hash
    undated = made_builder("byte-level", "chatml")
    undated._tokenizer.save_pretrained(tmp_path / "undated")
    assert undated.day is None
    assert PromptBuilder.load(tmp_path / "undated", day=date(2024, 2, 1)).content_hash == undated.content_hash


def test_end_tokens_come_from_tokenizer_template_and_generation_config(tmp_path: Path, made_builder: Build) -> None:
    made_builder("byte-level", "chatml")._tokenizer.save_pretrained(tmp_path)
    config = tmp_path / "generation_config.json"
    config.write_text(json.dumps({"eos_token_id": [5, 2, 10**9]}))
    builder = PromptBuilder.load(tmp_path)
    assert {builder.token_text(token) for token in builder.end_tokens} == {"</s>", "<|im_end|>", "<|user|>"}
    text = one(builder, Example("text", HERE, text="one"))
    assert builder.token_text(int(text.tokens[-1])) == "</s>"
    config.write_text("{")
    with pytest.raises(PromptError, match=r"generation_config\.json: not valid JSON"):
        PromptBuilder.load(tmp_path)


def test_a_folder_without_a_usable_tokenizer_is_named(tmp_path: Path, made_builder: Build) -> None:
    with pytest.raises(PromptError, match="no such folder"):
        PromptBuilder.load(tmp_path / "nowhere")
    with pytest.raises(PromptError, match=r"no tokenizer\.json"):
        PromptBuilder.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(PromptError, match='no "model"'):
        PromptBuilder.load(tmp_path)
    tokenizer = made_builder("byte-level", "plain")._tokenizer
    without_end = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer)
    without_end.save_pretrained(tmp_path / "without-end")
    with pytest.raises(PromptError, match="names no end token"):
        PromptBuilder.load(tmp_path / "without-end")


def test_the_content_hash_tells_tokenizers_and_templates_apart(made_builder: Build) -> None:
    hashes = [made_builder("byte-level", template).content_hash for template in ("plain", "chatml", "thinking")]
    assert len({*hashes, made_builder("sentencepiece-first", "plain").content_hash}) == 4


@pytest.mark.parametrize(
    "change",
    [{"bos_token": "<|user|>"}, {"bos_token": None}, {"unk_token": "<s>"}, {"extra_special_tokens": ["<think>"]}],
)
def test_the_content_hash_tells_special_tokens_apart(
    made_builder: Build, tmp_path: Path, change: dict[str, Any]
) -> None:
    builder = made_builder("byte-level", "chatml")
    builder._tokenizer.save_pretrained(tmp_path)
    assert PromptBuilder.load(tmp_path).content_hash == builder.content_hash
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, **change}))
    assert PromptBuilder.load(tmp_path).content_hash != builder.content_hash


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
def test_the_mlx_example_texts_get_the_end_token_they_lack(real_builder: Load) -> None:
    builder = real_builder("stories260K")
    line = (SHARED / "mlx_wikisql" / "train.jsonl").read_text("utf-8").splitlines()[0]
    text = json.loads(line)["text"]
    sample = one(builder, Example("text", HERE, text=text))
    assert sample.tokens.tolist() == [*builder._tokenizer(text)["input_ids"], 2]
