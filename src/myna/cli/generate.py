"""`myna generate`: one prompt, streamed; or a file of prompts, answered in batches."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from myna.cli.flags import COMMON, Common, UsageError
from myna.cli.model_flags import MACHINE, MODEL, Machine, ModelAndAdapter, load_model
from myna.cli.sampling_flags import SAMPLING, SamplingChoice, speed_lines
from myna.cli.terminal import draw, read_all, say, show_text
from myna.data.lines import split_lines
from myna.errors import DataError, listing
from myna.foreign_text import json_text

if TYPE_CHECKING:
    from myna.generation import Generation, LanguageModel, Prompt


def generate(
    *,
    prompt: Annotated[str | None, Parameter(name=["--prompt", "-p"], allow_leading_hyphen=True)] = None,
    prompts_file: Path | None = None,
    system_prompt: str | None = None,
    raw: Annotated[bool, Parameter(negative="")] = False,
    model: ModelAndAdapter = MODEL,
    sampling: SamplingChoice = SAMPLING,
    machine: Machine = MACHINE,
    common: Common = COMMON,
) -> Any:
    """Answer a prompt, or a file of prompts.

    The answer goes to standard output, speeds and memory to standard error. Answers to a file are JSON lines.

    Parameters
    ----------
    prompt
        The prompt, or - to read it from standard input.
    prompts_file
        One prompt a line (.txt), or JSON lines with "prompt" or "messages" (.jsonl).
    system_prompt
        Put before the prompt as the system's message.
    raw
        Take the prompt as it stands, without the chat template.
    """
    if (prompt is None) == (prompts_file is None):
        raise UsageError("give either --prompt TEXT (- for standard input) or --prompts-file FILE")
    if raw and system_prompt is not None:
        raise UsageError("--raw takes the prompt as it stands, so --system-prompt has no place; give one of them")
    prompts = [read_all() if prompt == "-" else prompt] if prompt is not None else _read(prompts_file)
    conversations = [_with_system(system_prompt, each) for each in prompts]
    loaded = load_model(model, machine)
    if prompts_file is not None:
        return _answer_many(loaded, conversations, sampling, raw=raw, common=common)
    answer = loaded.generate(
        conversations[0],
        max_tokens=sampling.max_tokens,
        sampling=sampling.sampling(),
        raw=raw,
        on_text=lambda text: show_text(text, sys.stdout),
    )
    say()
    _show_speed(answer, machine.engine)
    return asdict(answer)


def _answer_many(
    loaded: LanguageModel, prompts: list[Prompt], flags: SamplingChoice, *, raw: bool, common: Common
) -> dict[str, Any]:
    def on_answer(index: int, answer: Generation) -> None:
        if not common.json:
            draw(json_text(_record(prompts[index], answer)), sys.stdout)

    answers = loaded.generate_many(
        prompts, max_tokens=flags.max_tokens, sampling=flags.sampling(), raw=raw, on_answer=on_answer
    )
    return {"generations": [_record(*pair) for pair in zip(prompts, answers, strict=True)]}


def _record(prompt: Prompt, answer: Generation) -> dict[str, Any]:
    return {"prompt" if isinstance(prompt, str) else "messages": prompt, **asdict(answer)}


def _show_speed(answer: Generation, engine: Any) -> None:
    from myna.engines import choose

    draw(speed_lines(answer, choose(engine).peak_memory_bytes()), sys.stderr)


def _with_system(system_prompt: str | None, prompt: Prompt) -> Prompt:
    if system_prompt is None:
        return prompt
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return [{"role": "system", "content": system_prompt}, *messages]


def _read(path: Path | None) -> list[Prompt]:
    assert path is not None
    try:
        text = path.expanduser().read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: can't read prompts from it: {error}") from error
    read = _json_prompt if path.suffix == ".jsonl" else lambda line, where: line
    lines = enumerate(split_lines(text), start=1)
    prompts = [read(line, f"{path}:{number}") for number, line in lines if line.strip()]
    if not prompts:
        raise DataError(f"{path}: no prompt in it; expected one a line")
    return prompts


def _json_prompt(line: str, where: str) -> Prompt:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{where}: not JSON ({error}); one prompt in plain text a line goes into a .txt file"
        ) from error
    if isinstance(record, str):
        return record
    found = record if isinstance(record, dict) else {}
    if isinstance(found.get("prompt"), str):
        return str(found["prompt"])
    messages = found.get("messages")
    if isinstance(messages, list) and messages and all(isinstance(message, dict) for message in messages):
        return messages
    raise DataError(f'{where}: no "prompt" (text) or "messages" (a list) key (found: {listing(found) or "none"})')
