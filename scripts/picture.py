"""A picture of a terminal: runs a command in one, and draws what it printed as SVG.

    python scripts/picture.py docs/demo.svg --lines 17 --paragraphs 4 -- myna demo build/demo

Of each paragraph (lines between empty ones) only the first lines are shown where `--lines` says so, and of each step
(`3/8 …`) only the first paragraphs where `--paragraphs` does; `…` stands for the rest. The SVG asks for no font from
anywhere.
"""

from __future__ import annotations

import argparse
import html
import io
import os
import pty
import re
import sys
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

WIDTH = 100
CELL = 12.2
"""Units of the picture that a character takes, as rich draws it."""
THEME = TerminalTheme(
    (24, 27, 34),
    (214, 219, 228),
    [
        *((24, 27, 34), (242, 119, 122), (127, 201, 127), (232, 191, 106)),
        *((122, 162, 247), (187, 154, 247), (98, 207, 207), (214, 219, 228)),
    ],
)
_FRAME = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px; line-height: {line_height}px; white-space: pre;
}}
{styles}
</style>
<defs>{lines}</defs>
<rect fill="#181b22" width="{width}" height="{height}" rx="10"/>
<g transform="translate({terminal_x}, 24)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""
_DRAWN = re.compile(
    r"\x1b\[(?P<up>\d*)A|(?P<clear>\x1b\[2K)|(?P<text>\x1b\[[\d;]*m|[^\x1b\r\n]+)|\x1b\[[?\d;]*[A-Za-z]|[\r\n]"
)
"""What moves the cursor up, empties its line, is text or its colour; else other steering, or an end of line."""
_STEP = re.compile(r"(?:\x1b\[[\d;]*m)*\d+/\d+ ")
_TEXT = re.compile(r'textLength="[^"]*"([^>]*)>([^<]*)<')


def printed(command: list[str]) -> str:
    """Run `command` in a terminal and return what stands there when it has ended."""
    os.environ.update(COLUMNS=str(WIDTH), LINES="40", TERM="xterm-256color")
    chunks: list[bytes] = []

    def read(terminal: int) -> bytes:
        chunk = os.read(terminal, 4096)
        chunks.append(chunk)
        return chunk

    status = os.waitstatus_to_exitcode(pty.spawn(command, read))
    if status != 0:
        sys.exit(f"{command[0]} ended with {status}; no picture is drawn")
    return standing(b"".join(chunks).decode("utf-8"))


def standing(text: str) -> str:
    """Return the lines that stand when all has been drawn: progress bars draw over themselves."""
    lines, row, begins = [""], 0, True
    for drawn in _DRAWN.finditer(text):
        if drawn["up"] is not None:
            row = max(0, row - int(drawn["up"] or 1))
        elif drawn["clear"]:
            lines[row] = ""
        elif drawn["text"]:
            lines[row] = drawn["text"] if begins else lines[row] + drawn["text"]
            begins = False
        elif drawn[0] in "\r\n":
            begins = True
            if drawn[0] == "\n":
                row += 1
                lines += [""] * (row == len(lines))
    return "\n".join(lines).strip("\n")


def shortened(text: str, lines: int, paragraphs: int) -> str:
    """Keep at most so many lines of each paragraph, and so many paragraphs of each step."""
    shown, left = list[str](), paragraphs
    for paragraph in text.split("\n\n"):
        left = paragraphs if _STEP.match(paragraph.lstrip("\n")) else left - 1
        if left > 0:
            of_it = paragraph.split("\n")
            shown.append("\n".join([*of_it[:lines], *(["…"] if len(of_it) > lines else [])]))
        elif left == 0:
            shown.append("…")
    return "\n\n".join(shown)


def wide(drawn: re.Match[str]) -> str:
    """Give a text as much room as it takes: rich counts a wide character's as one."""
    cells = cell_len(html.unescape(drawn[2]))
    return f'textLength="{cells * CELL:g}"{drawn[1]}>{drawn[2]}<'


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--lines", type=int, default=1000, help="lines of a paragraph")
    parser.add_argument("--paragraphs", type=int, default=1000, help="paragraphs of a step")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    text = shortened(printed(arguments.command), arguments.lines, arguments.paragraphs)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(f"$ {' '.join(arguments.command)}\n{text}"))
    drawn = console.export_svg(theme=THEME, code_format=_FRAME, unique_id="terminal")
    arguments.picture.write_text(_TEXT.sub(wide, drawn), "utf-8")


if __name__ == "__main__":
    main()
