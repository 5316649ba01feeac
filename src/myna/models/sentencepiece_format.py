"""A SentencePiece `tokenizer.model` as the `tokenizer.json` that everything else reads.

In: the model's bytes. Out: files in a folder. transformers' own converter takes out vocabulary, merges and special
tokens; blanks are turned into `▁` as in the tokenizers that Mistral itself publishes (always one in front), because
transformers 5 leaves the one in front out before a text that begins with a blank. The result is held to SentencePiece
itself on a few texts. Knows nothing of releases or weights.
"""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from myna.errors import MissingDependency, ModelError

MODEL = "tokenizer.model"

_PROBES = (
    "The quick brown fox jumps over the lazy dog.",
    "SELECT COUNT(*) FROM students WHERE age >= 20 AND name = 'Ann';",
    "八哥会学人说话。Éùñ ß ¿? 🐦",
    "  two spaces,\ta tab\nand a line  ",
)


def convert_tokenizer(content: bytes, folder: Path, *, source: str) -> dict[str, int]:
    """Write `tokenizer.json`, `tokenizer_config.json` and the model itself; return the ids of the special tokens.

    source: for messages. The ids come under the names that `config.json` has for them: `bos_token_id` and so on. Raises
    `ModelError` when it is no SentencePiece model, or one that transformers converts into another tokenizer, and
    `MissingDependency` where sentencepiece or protobuf is not installed.
    """
    for library, module in (("sentencepiece", "sentencepiece"), ("protobuf", "google.protobuf")):
        if not _is_installed(module):
            raise MissingDependency(f"{source}: {library} is needed to read it: pip install {library}")
    from sentencepiece import SentencePieceProcessor

    try:
        original = SentencePieceProcessor(model_proto=content)
    except RuntimeError as error:
        raise ModelError(f"{source}: no SentencePiece model; download or copy it again") from error
    (folder / MODEL).write_bytes(content)
    ids = {"bos": original.bos_id(), "eos": original.eos_id(), "unk": original.unk_id(), "pad": original.pad_id()}
    ids = {name: index for name, index in ids.items() if index >= 0}
    converted = _converted(folder, {name: original.id_to_piece(index) for name, index in ids.items()})
    _require_same(source, original, converted)
    converted.save_pretrained(folder)
    _name_for_all_versions(folder / "tokenizer_config.json")
    return {f"{name}_token_id": index for name, index in ids.items() if name != "unk"}


def _converted(folder: Path, special: dict[str, str]) -> Any:
    """Return the tokenizer of transformers. special: `bos`, `eos`, `unk` and `pad`, as far as there are such."""
    from tokenizers import normalizers
    from tokenizers.processors import TemplateProcessing
    from transformers import LlamaTokenizer, PreTrainedTokenizerFast

    named: dict[str, Any] = {f"{name}_token": token for name, token in special.items()}
    with _quiet_transformers():
        backend = LlamaTokenizer.from_pretrained(folder, **named).backend_tokenizer
    backend.pre_tokenizer = None
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    if "bos" in special:
        bos = special["bos"]
        backend.post_processor = TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, backend.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, clean_up_tokenization_spaces=False, **named
    )


def _name_for_all_versions(path: Path) -> None:
    """Write the class under the name that transformers has always had for it; version 5 writes one of its own."""
    settings = json.loads(path.read_text(encoding="utf-8")) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False


def _require_same(source: str, original: Any, converted: Any) -> None:
    """Raise `ModelError` unless both make the same tokens of a few texts and the same text of them again."""
    for text in _PROBES:
        expected = original.encode(text)
        found = converted.encode(text, add_special_tokens=False)
        if found != expected or converted.decode(found) != original.decode(expected):
            raise ModelError(
                f"{source}: transformers makes other tokens of it than SentencePiece does (of {text!r} {found[:8]} "
                f"instead of {expected[:8]}); this kind of SentencePiece model is not supported, take the model's "
                "tokenizer.json"
            )


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep what transformers logs about formats of its own off the terminal; what went wrong is found above."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
