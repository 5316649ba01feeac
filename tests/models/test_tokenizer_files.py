"""A tokenizer's files are checked before a library reads them: what would take forever or all memory is refused."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from myna.errors import ModelError, MynaError, PromptError
from myna.models.info import describe_tokenizer
from myna.models.tokenizer_files import read_tokenizer
from myna.prompts.builder import PromptBuilder

SHARED = Path(__file__).parents[3] / "shared" / "data" / "tokenizers"
SPECIAL = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


def content() -> dict[str, Any]:
    """A small tokenizer of Llama's kind."""
    vocabulary = {"<s>": 0, "</s>": 1, "<unk>": 2, **{chr(code): code - 94 for code in range(97, 123)}, "▁": 29}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.add_special_tokens(["<s>", "</s>", "<unk>"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A $B", special_tokens=[("<s>", 0)])
    return dict(json.loads(tokenizer.to_str()))


def write(folder: Path, tokenizer: dict[str, Any], settings: dict[str, Any] | None = None) -> Path:
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    names = {"bos_token": "<s>", "eos_token": "</s>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**names, **(settings or {})}), encoding="utf-8")
    return folder


def replace(text: str, by: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": text}, "content": by}


def charsmap(text: bytes) -> str:
    return base64.b64encode((4).to_bytes(4, "little") + bytes(4) + text).decode()


BAD: dict[str, dict[str, Any]] = {
    "a letter becomes a megabyte": {"normalizer": replace("a", "b" * 1_000_000)},
    "letters are doubled thirty times": {"normalizer": {"type": "Sequence", "normalizers": [replace("a", "aa")] * 30}},
    "an expression's matches become long": {
        "normalizer": {"type": "Replace", "pattern": {"Regex": "x*"}, "content": "b" * 100}
    },
    "a megabyte goes before each text": {"normalizer": {"type": "Prepend", "prepend": "b" * 1_000_000}},
    "a character maps to a megabyte": {
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap(b"x" * 1_000_000)}
    },
    "a map of characters is no base64": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "&"}},
    "a token's text becomes a megabyte": {"decoder": replace("a", "b" * 1_000_000)},
    "splitting backtracks": {
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": r"(\w+\s?)*$"}, "behavior": "Isolated", "invert": False}
    },
    "splitting in a sequence backtracks": {
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": "(a|a)*$"}, "behavior": "Isolated", "invert": False}
            ],
        }
    },
    "a thousand parts": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 1_000}},
    "padding to a billion": {"padding": {"strategy": {"Fixed": 10**9}, "pad_to_multiple_of": None}},
    "padding to a multiple of a billion": {"padding": {"strategy": "BatchLongest", "pad_to_multiple_of": 10**9}},
    "a million tokens around a text": {
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [0] * 1_000_000, "tokens": ["<s>"] * 1_000_000}},
        }
    },
    "the text a hundred times": {
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 100,
            "pair": [],
            "special_tokens": {},
        }
    },
    "a hundred thousand added tokens": {
        "added_tokens": [{"id": 100 + i, "content": f"<{i}>", **SPECIAL} for i in range(100_000)]
    },
    "a long added token": {"added_tokens": [{"id": 100, "content": "z" * 100_000, **SPECIAL}]},
    "a long special token": {"added_tokens": [{"id": 1, "content": "</s>" + "z" * 1_000, **SPECIAL}]},
    "many special tokens": {"added_tokens": [{"id": 100 + i, "content": f"<{i}>", **SPECIAL} for i in range(20_000)]},
    "an id of four billion": {"added_tokens": [{"id": 4294967295, "content": "<x>", **SPECIAL}]},
    "a negative id": {"added_tokens": [{"id": -1, "content": "<x>", **SPECIAL}]},
    "an id that is no number": {"added_tokens": [{"id": True, "content": "<x>", **SPECIAL}]},
    "an added token without a text": {"added_tokens": [{"id": 1}]},
    "added tokens that are none": {"added_tokens": [5]},
    "added tokens that are no list": {"added_tokens": {"a": 1}},
    "an id out of the vocabulary": {"model": {"type": "BPE", "vocab": {"a": 10**9}, "merges": []}},
    "a vocabulary of numbers": {"model": {"type": "Unigram", "vocab": [1, 2]}},
    "a vocabulary of texts": {"model": {"type": "BPE", "vocab": {"a": "b"}, "merges": []}},
    "no vocabulary": {"model": {"type": "BPE"}},
    "no model": {"model": None},
    "a model that is none": {"model": [1]},
    "a word of a million characters": {
        "model": {"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "a", "max_input_chars_per_word": 10**6}
    },
    "a normalizer that is none": {"normalizer": 5},
    "parts that are none": {"normalizer": {"type": "Sequence", "normalizers": [5]}},
    "a processor that is none": {"post_processor": {"type": "Sequence", "processors": [5]}},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD.keys())
def test_a_tokenizer_that_asks_too_much_or_makes_no_sense_is_refused_at_once(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    folder = write(tmp_path, {**content(), **changes})
    with pytest.raises(MynaError, match="tokenizer"):
        PromptBuilder.load(folder)
    if changes != BAD["a long special token"] and changes != BAD["many special tokens"]:  # found after it is loaded
        with pytest.raises(ModelError, match=r"tokenizer\.json: "):
            describe_tokenizer(folder)


def test_the_small_tokenizer_itself_is_fine(tmp_path: Path) -> None:
    builder = PromptBuilder.load(write(tmp_path, content()))
    assert builder.decode(builder.text_prompt("ab c")).strip() == "ab c"
    assert describe_tokenizer(tmp_path).entries == 30


@pytest.mark.parametrize("name", ["qwen2.5", "minimind", "mistral_v1", "llama2", "mistral_v3"])
def test_published_tokenizers_pass(name: str) -> None:
    if not (SHARED / name).exists():
        pytest.skip("../shared/data is not here")
    assert read_tokenizer(SHARED / name)["model"]["vocab"]


@pytest.mark.parametrize(
    "template", [5, [5], {"default": "a"}, [{"name": "a"}], [{"name": 1, "template": "a"}], True], ids=repr
)
def test_a_chat_template_that_is_no_text_is_refused(template: Any, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="chat_template is neither"):
        PromptBuilder.load(write(tmp_path, content(), {"chat_template": template}))


@pytest.mark.parametrize(
    "name",
    ["tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "tokenizer.json", "config.json"],
)
def test_json_nested_a_hundred_thousand_levels_deep_is_refused(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path, content())
    (folder / name).write_text('{"eos_token_id": ' + "[" * 100_000 + "]" * 100_000 + "}", encoding="utf-8")
    with pytest.raises(PromptError, match=f"{name}: not valid JSON"):
        PromptBuilder.load(folder)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("tokenizer.json", 1 << 31),
        ("tokenizer_config.json", 1 << 25),
        ("chat_template.jinja", 50 << 20),
        ("merges.txt", 1 << 30),
        ("config.json", 1 << 30),
    ],
)
def test_a_file_of_gigabytes_is_refused_unread(name: str, size: int, tmp_path: Path) -> None:
    folder = write(tmp_path, content())
    with (folder / name).open("ab") as opened:
        opened.truncate(size)  # takes no room on the disk
    with pytest.raises(PromptError, match=rf"{name}: {size} bytes, more than"):
        PromptBuilder.load(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["tokenizer.json", "generation_config.json", "chat_template.jinja", "merges.txt"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path, content())
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(PromptError, match="not a plain file"):
        PromptBuilder.load(folder)


def test_a_decoder_that_crashes_is_an_error_of_the_tokenizer(tmp_path: Path) -> None:
    strip = {"type": "Strip", "content": "a", "start": 10**9, "stop": 10**9}
    builder = PromptBuilder.load(write(tmp_path, {**content(), "decoder": strip}))
    with pytest.raises(MynaError, match="the tokenizer fails"):
        builder.decode([3, 4])


@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_every_end_id_that_a_configuration_names_ends_an_answer(file: str, tmp_path: Path) -> None:
    tokenizer = content()
    tokenizer["added_tokens"] += [{"id": 30 + i, "content": f"<|e{i}|>", **SPECIAL} for i in range(3)]
    folder = write(tmp_path, tokenizer)
    wrong = [] if file == "config.json" else [True, -5, 10**30, 1.5, "a", None, [3]]  # transformers refuses those
    (folder / file).write_text(
        json.dumps({"model_type": "llama", "eos_token_id": [30, *wrong, 29, 31]}), encoding="utf-8"
    )
    assert PromptBuilder.load(folder).end_tokens == {1, 30, 31}


def test_an_end_id_of_a_language_model_inside_a_larger_one_ends_an_answer(tmp_path: Path) -> None:
    folder = write(tmp_path, content())
    (folder / "config.json").write_text(
        json.dumps({"model_type": "llama", "text_config": {"eos_token_id": 2}}), encoding="utf-8"
    )
    assert PromptBuilder.load(folder).end_tokens == {1, 2}
