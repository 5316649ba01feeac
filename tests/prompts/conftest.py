"""Real tokenizers from ../shared, and small ones made here of every kind, with the templates that others trip on."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from myna.prompts.builder import PromptBuilder

SHARED = Path(__file__).parents[3] / "shared" / "data"
REAL_CHAT = ["qwen2.5", "minimind", "mistral_v1", "llama2", "mistral_v3"]

CORPUS = [
    "Which of the students are older than 20? SELECT name FROM students WHERE age > 20",
    "def answer(question):\n    return question.strip()\n\n\n",
    "数据库里有多少个学生？ 八哥会说话 🐦🐦‍⬛ 👩‍💻",
    "The quick  brown   fox\tjumps over the lazy dog; [INST] <s> </s> <|im_start|> user assistant system",
] * 3

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}{{ part.text }}{% endfor %}"
    "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Qwen3 leaves the thinking of all answers but the last out of a conversation.
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}<think>\n\n"
    "</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Phi-3 writes the end-of-text token at the end of a conversation that asks for nothing.
END_OF_TEXT = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
NO_END = (
    "{{ bos_token }}{% for m in messages %}{{ '### ' + m.role + ':\\n' + m.content + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}### assistant:\n{% endif %}"
)
# DeepSeek-R1 asks with an opened thought, which its conversations don't have.
OPEN_THOUGHT = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
# Gemma's refuses system messages and turns that do not alternate.
STRICT = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As Qwen3's: parts of a content are dropped, calls take objects, and only the last answer keeps its reasoning.
TOOLS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content is string and loop.last %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{% if m.content is string %}{{ m.content }}{% endif %}"
    "{% for call in m.tool_calls %}<call>{{ call.function.name }} {{ call.function.arguments | tojson }}{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# DeepSeek's joins the arguments, which must be a string, to other strings.
ARGUMENTS_AS_TEXT = TOOLS.replace("call.function.arguments | tojson", "'' + call.function.arguments")
# Llama 3.2's prints the date of the day.
DATED = "{{ strftime_now('%d %b %Y') }}\n" + CHATML
TEMPLATES = {
    "strict": STRICT,
    "tools": TOOLS,
    "arguments-as-text": ARGUMENTS_AS_TEXT,
    "dated": DATED,
    "chatml": CHATML,
    "thinking": THINKING,
    "end-of-text": END_OF_TEXT,
    "no-end": NO_END,
    "open-thought": OPEN_THOUGHT,
    "plain": None,
}
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|user|>", "<|assistant|>"]


def byte_level() -> Tokenizer:
    """Of GPT-2's and Qwen's kind."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def sentence_piece(*, legacy: bool) -> Tokenizer:
    """Of Llama 2's kind, converted the old way (a space before every piece) or the new one (before the first)."""
    pieces = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    pieces.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=[*SPECIAL, *bytes_], show_progress=False)
    pieces.train_from_iterator((word for line in CORPUS for word in line.split(" ")), trainer)
    parts = json.loads(pieces.to_str())
    parts["added_tokens"] = parts["added_tokens"][: len(SPECIAL)]
    tokenizer = Tokenizer.from_str(json.dumps(parts))
    if legacy:
        tokenizer.pre_tokenizer = None  # type: ignore[assignment]
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return tokenizer


MADE: dict[str, Callable[[], Tokenizer]] = {
    "byte-level": byte_level,
    "sentencepiece-legacy": lambda: sentence_piece(legacy=True),
    "sentencepiece-first": lambda: sentence_piece(legacy=False),
}


@pytest.fixture(scope="session")
def made_builder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], PromptBuilder]:
    """Return a function: kind of tokenizer and name of template → builder, loaded from files."""

    @cache
    def build(kind: str, template: str) -> PromptBuilder:
        tokenizer = MADE[kind]()
        tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
        names: dict[str, Any] = {"eos_token": "</s>", "bos_token": "<s>", "unk_token": "<unk>"}
        wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
        wrapped.chat_template = TEMPLATES[template]
        folder = tmp_path_factory.mktemp("tokenizer")
        wrapped.save_pretrained(folder)
        return PromptBuilder.load(folder)

    return build


@cache
def load_real(name: str) -> PromptBuilder:
    folder = SHARED / ("models" if name == "stories260K" else "tokenizers") / name
    if not folder.exists():
        pytest.skip("../shared/data is not here")
    return PromptBuilder.load(folder)


@pytest.fixture(scope="session")
def real_builder() -> Callable[[str], PromptBuilder]:
    """Return a function: name of a tokenizer in ../shared → builder."""
    return load_real


@pytest.fixture(params=[*REAL_CHAT, *(f"{kind} {template}" for kind in MADE for template in ("chatml", "no-end"))])
def chat_builder(request: pytest.FixtureRequest, made_builder: Callable[[str, str], PromptBuilder]) -> PromptBuilder:
    """Every tokenizer with a chat template."""
    name: str = request.param
    return made_builder(*name.split(" ")) if " " in name else load_real(name)


@pytest.fixture(params=["stories260K", *MADE])
def plain_builder(request: pytest.FixtureRequest, made_builder: Callable[[str, str], PromptBuilder]) -> PromptBuilder:
    """Every tokenizer without a chat template."""
    name: str = request.param
    return made_builder(name, "plain") if name in MADE else load_real(name)


@pytest.fixture(params=[*REAL_CHAT, "stories260K", *MADE])
def any_builder(request: pytest.FixtureRequest, made_builder: Callable[[str, str], PromptBuilder]) -> PromptBuilder:
    """Every tokenizer."""
    name: str = request.param
    return made_builder(name, "chatml") if name in MADE else load_real(name)
