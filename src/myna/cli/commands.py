"""The table of all commands: where each one is and what it does in a line.

The overview (`myna --help`) and the parser are both made from it. Imported at every start, so nothing heavy
is imported here and commands are named, not imported.
"""

from __future__ import annotations

from typing import NamedTuple, TextIO

from myna.cli.terminal import emphasis


class Command(NamedTuple):
    """A command: the words that call it, `module:function` under `myna.cli`, and what it does."""

    name: str
    target: str
    summary: str


SUBJECTS = {
    "data": "Make training data, and look at it.",
    "model": "Get a base model, look at one, convert or quantise it.",
}
"""First words of commands that have two."""

GROUPS: dict[str, tuple[Command, ...]] = {
    "Begin here": (Command("demo", "demo:demo", "Show the whole story in three minutes, offline, on a small model"),),
    "Data": (
        Command("data database", "build:database", "Make data of your own database: questions and SQL that ran"),
        Command("data wikisql", "build:wikisql", "Make data of WikiSQL, with its databases"),
        Command("data spider", "build:spider", "Make data of Spider, with its databases"),
        Command("data sql-create-context", "build:sql_create_context", "Make data of sql-create-context"),
        Command("data articles", "build:articles", "Make data of a blog's or a folder's Markdown"),
        Command("data files", "build:files", "Make data of CSV, JSON, JSONL or Parquet"),
        Command("data allow", "allow:allow", "Let data folders and corrections name a server or a file of yours"),
        Command("data check", "check:check", "Find what is wrong with a data folder"),
        Command("data show", "data:show", "Show a sample token by token, with its loss mask"),
    ),
    "Models": (
        Command("model get", "model:get", "Download a model from the hub"),
        Command("model info", "model:info", "Tell a model's architecture, size, layers and tokenizer"),
        Command("model convert", "convert:convert", "Convert between Hugging Face, MLX, Mistral's releases and PEFT"),
        Command("model quantize", "quantize:quantize", "Pack a model's weights in few bits, to train on and to run"),
    ),
    "Training": (
        Command("train", "train:train", "Train by a recipe or flags, or go on with a run"),
        Command("test", "testing:measure", "Measure loss and perplexity: base, adapter or every checkpoint"),
        Command("score", "score:score", "Score SQL by running it: execution accuracy, exact match, valid SQL"),
        Command("compare", "compare:compare", "Put runs side by side: losses, speed, memory, sizes, answers"),
        Command("learning-curve", "learning_curve:learning_curve", "Find how many examples are enough"),
        Command("report", "report:report", "Write a run's report.html again"),
    ),
    "Using": (
        Command("ask", "ask:ask", "Ask a database in words: SQL, its rows, a chart; or a conversation"),
        Command("learn", "learn:learn", "Train a run further on corrections; keep the better of old and new"),
        Command("generate", "generate:generate", "Answer a prompt, or a file of prompts"),
        Command("chat", "chat:chat", "Talk with a model"),
        Command("fuse", "fuse:fuse", "Fuse an adapter into a model folder of its own"),
    ),
    "This machine": (
        Command("doctor", "doctor:doctor", "Tell what this machine offers, what is missing, and how to mend it"),
    ),
}


def overview(stream: TextIO) -> str:
    """Return the help of `myna` itself, with headings emphasised where `stream` shows it."""
    flags = {
        "--help, -h": "Show this, or a command's flags: myna train --help",
        "--version": "Show the version",
    }
    sections = {heading: {command.name: command.summary for command in group} for heading, group in GROUPS.items()}
    return _page(
        "COMMAND",
        "Teach a small local language model to speak your database or your documents, on your machine.",
        {**sections, "Flags": flags},
        stream,
    )


def subject_overview(subject: str, stream: TextIO) -> str:
    """Return the help of the commands that begin with `subject`, such as `data`."""
    commands = [command for group in GROUPS.values() for command in group]
    mine = {command.name: command.summary for command in commands if command.name.startswith(f"{subject} ")}
    return _page(f"{subject} COMMAND", SUBJECTS[subject], {"Commands": mine}, stream)


def _page(usage: str, purpose: str, sections: dict[str, dict[str, str]], stream: TextIO) -> str:
    width = max(len(name) for section in sections.values() for name in section)
    lines = [f"{emphasis('Usage:', '1', stream)} myna {usage} [flags]", "", purpose]
    for heading, section in sections.items():
        lines += ["", emphasis(heading, "1", stream)]
        lines += [f"  {name:<{width}}  {summary}" for name, summary in section.items()]
    lines += ["", "Every command takes --json (one JSON object on standard output) and --debug (tracebacks)."]
    return "\n".join(lines) + "\n"
