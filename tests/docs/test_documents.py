"""The documents are true: links lead somewhere, commands are mentioned, the examples are what their record says."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from myna.cli.commands import GROUPS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    if path.is_file()
)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(document: Path) -> set[str]:
    """The names a heading can be linked by, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"!?\[[^\]]*\]\(([^)\s]+)", text)
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), f"{name(document)} links to {link}, which is not there"
        assert ROOT in [target, *target.parents], f"{name(document)} links out of the repository: {link}"
        if anchor:
            assert anchor in anchors(target), f"{name(document)} links to {link}: no such heading"


def test_every_command_is_mentioned_in_the_documents() -> None:
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    commands = [command.name for group in GROUPS.values() for command in group]
    missing = [command for command in commands if not re.search(rf"\bmyna {re.escape(command)}\b", text)]
    assert not missing, f"no document mentions: {', '.join('myna ' + command for command in missing)}"


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    for document in DOCUMENTS:
        used = set(re.findall(r"(?:^|`)make ([a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE))
        assert used <= targets, f"{name(document)} names make targets that are not there: {used - targets}"


def test_every_room_is_on_the_map() -> None:
    rooms = {
        path.stem
        for path in (ROOT / "src" / "myna").iterdir()
        if not path.name.startswith("_") and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert rooms == set(re.findall(r"^\|[ \d]*\| `(\w+)` \|", text, re.MULTILINE))


@pytest.mark.parametrize("folder", ["wikisql", "wikisql-text"])
def test_example_data_is_what_its_record_says(folder: str) -> None:
    record = json.loads((ROOT / "examples" / folder / "data.json").read_text(encoding="utf-8"))
    for split, facts in record["splits"].items():
        content = (ROOT / "examples" / folder / f"{split}.jsonl").read_bytes()
        assert content.count(b"\n") == facts["examples"]
        assert hashlib.sha256(content).hexdigest() == facts["sha256"]


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_prompts_and_completions_of_the_examples_are_their_texts_cut_in_two(split: str) -> None:
    def lines(folder: str) -> list[dict[str, str]]:
        text = (ROOT / "examples" / folder / f"{split}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    cut = [one["prompt"] + one["completion"] for one in lines("wikisql")]
    assert cut == [one["text"] for one in lines("wikisql-text")]
    assert all(one["prompt"].endswith("\nA: ") for one in lines("wikisql"))


def test_the_example_model_is_the_one_its_readme_names() -> None:
    content = (ROOT / "examples" / "stories260K" / "model.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() in (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
