"""`myna data check`: what is wrong with a data folder, as a table that reads well on a narrow terminal too."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from myna.cli.flags import COMMON, BadNews, Common
from myna.cli.terminal import is_terminal, rich_console, say
from myna.errors import DataError
from myna.foreign_text import visible

if TYPE_CHECKING:
    from rich.console import Console

    from myna.checking import Finding, Findings

_STYLES = {"serious": "bold red", "warning": "yellow", "note": "cyan"}


def check(
    folder: Path,
    /,
    *,
    model: str | None = None,
    max_seq_length: int = 2048,
    mask_prompt: bool | None = None,
    text_key: str = "text",
    prompt_key: Annotated[str, Parameter(name=["--prompt-key", "--prompt-feature"])] = "prompt",
    completion_key: Annotated[str, Parameter(name=["--completion-key", "--completion-feature"])] = "completion",
    messages_key: Annotated[str, Parameter(name=["--messages-key", "--chat-feature"])] = "messages",
    common: Common = COMMON,
) -> dict[str, Any] | BadNews:
    """Look for all that would spoil training on a data folder, or scores on it; exit with 1 on serious findings.

    Duplicates and leakage between splits, contradicting answers, gold SQL that does not run, odd characters, secrets;
    with --model also lengths and end tokens.

    Parameters
    ----------
    folder
        Data folder.
    model
        Folder or hub id of the model whose tokenizer measures the examples; the tokenizer's files are enough.
    max_seq_length
        Longest example in tokens.
    mask_prompt
        Loss on answers only (default: yes for messages and prompt/completion, no for text).
    text_key
        Key of ready-made text in the data's lines.
    prompt_key
        Key of the prompt.
    completion_key
        Key of the answer.
    messages_key
        Key of the conversation.
    """
    from myna.checking import check as look
    from myna.data.folder import Keys

    findings = look(
        folder,
        model=model,
        max_seq_length=max_seq_length,
        mask_prompt=mask_prompt,
        keys=Keys(text_key, prompt_key, completion_key, messages_key),
        listener=_follow if is_terminal(sys.stderr) else None,
    )
    _show(findings, rich_console(sys.stdout))
    serious = findings.of("serious")
    if not serious:
        return findings.as_dict()
    kinds = ", ".join(dict.fromkeys(finding.kind for finding in serious))
    message = f"{folder}: serious findings ({kinds}); mend them before training on this data or scoring with it"
    return BadNews(findings.as_dict(), DataError(message))


def _follow(doing: str) -> None:
    say(f"{doing} …", stream=sys.stderr)


def _show(findings: Findings, console: Console) -> None:
    """Print a line for each split, then each finding with what to do and its first places."""
    _show_splits(findings, console)
    if not findings.findings:
        console.print("\nNothing is wrong with this data.")
        return
    console.print(f"\n{'Severity':<9}{'Finding':<23}{'Count':>8}", style="bold")
    for finding in findings.findings:
        _show_finding(finding, console)


def _show_splits(findings: Findings, console: Console) -> None:
    measured = any(summary.lengths is not None for summary in findings.splits.values())
    columns = f"{'50 %':>6}{'95 %':>6}{'Max':>7}{'Learnt':>7}" if measured else ""
    console.print(f"{'Split':<5}{'Examples':>9}{columns}", style="bold")
    for split, summary in findings.splits.items():
        line = f"{split:<5}{summary.examples:>9,}"
        if (lengths := summary.lengths) is not None:
            learnt = lengths.trained / max(1, lengths.tokens)
            line += f"{lengths.half:>6,}{lengths.most:>6,}{lengths.longest:>7,}{learnt:>7.0%}"
        console.print(line)
    if measured:
        _say("50 %, 95 %, Max: so many examples have at most so many tokens. Learnt: of all tokens.", 0, console)


def _show_finding(finding: Finding, console: Console) -> None:
    from rich.text import Text

    style = _STYLES[finding.severity]
    console.print(Text.assemble((f"{finding.severity:<9}", style), f"{finding.kind:<23}{finding.count:>8,}"))
    _say(finding.message, 2, console)
    for place in finding.examples:
        # the excerpt has a line of its own where there is no room beside the place
        beside = len(place.where) * 2 <= console.width
        for shown in [f"{place.where}  {place.excerpt}"] if beside else [place.where, f"  {place.excerpt}"]:
            console.print(f"    {visible(shown)}", style="dim", no_wrap=True, overflow="ellipsis")


def _say(text: str, indent: int, console: Console) -> None:
    """Print sentences, broken between words, without the spaces that a terminal's own breaking leaves at line ends."""
    from rich.text import Text

    for line in Text(visible(text)).wrap(console, console.width - indent):
        console.print(f"{' ' * indent}{line.plain.rstrip()}")
