"""Downloading through the real huggingface_hub, from a server on this machine that answers as the hub does."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_averysecrettoken"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

PROGRAM = """
import json, logging, sys
logging.basicConfig(level=logging.INFO)
from myna.errors import MynaError
from myna.models.files import find
try:
    files = find("owner/name")
    names = sorted(path.name for path in files.folder.rglob("*") if path.is_file())
    print(json.dumps([names, len(files.tensors), files.public_name]))
except MynaError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""

GET = """
import json, sys
import huggingface_hub.constants
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 10_000  # so that a small file comes in several pieces
from myna.errors import MynaError
from myna.models.getting import get
try:
    result = get("owner/name", revision=sys.argv[1] if sys.argv[1:] else None)
    names = sorted(path.name for path in result.folder.rglob("*") if path.is_file())
    print(json.dumps([names, result.layout, result.bytes, result.folder.name]))
except MynaError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


class Hub(http.server.ThreadingHTTPServer):
    """Serves `folder` as the model owner/name; every other request gets `status`."""

    def __init__(self, folder: Path | None, status: int = 404, headers: dict[str, str] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.status, self.headers = folder, status, headers or {}
        self.asked: list[str] = []
        self.ranges: list[str | None] = []
        self.breaks_off: dict[str, int] = {}
        self.sizes: dict[str, int] = {}

    @property
    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()] if self.folder else []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(path)
        root = self.server.folder
        if root is not None and path in {f"/api/models/owner/name/revision/{name}" for name in ("main", "v1.0")}:
            siblings = [
                {
                    "rfilename": str(file.relative_to(root)),
                    "size": self.server.sizes.get(file.name, file.stat().st_size),
                }
                for file in self.server.files
            ]
            self.answer(json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": siblings}).encode())
        elif root is not None and path == f"/api/models/owner/name/tree/{COMMIT}":
            entries = [
                {"type": "file", "path": str(file.relative_to(root)), "size": file.stat().st_size, "oid": "0" * 40}
                for file in self.server.files
            ]
            self.answer(json.dumps(entries).encode())
        elif root is not None and (file := root / path.removeprefix(f"/owner/name/resolve/{COMMIT}/")).is_file():
            self.send_file(file)
        elif root is not None and path.startswith("/api/models/owner/name/revision/"):
            self.answer(b"{}", 404, {"X-Error-Code": "RevisionNotFound"})
        else:
            self.answer(b"{}", self.server.status, self.server.headers)

    do_HEAD = do_GET  # noqa: N815 (the base class looks for this name)

    def send_file(self, file: Path) -> None:
        """Send a file, or what was asked of it; once only a part of one that is to break off."""
        body, asked = file.read_bytes(), self.headers.get("Range")
        tag = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "Accept-Ranges": "bytes"}
        if self.command == "HEAD":
            self.answer(body, headers=tag)
            return
        self.server.ranges.append(asked)
        if asked is not None:
            first = int(asked.removeprefix("bytes=").partition("-")[0])
            self.answer(body[first:], 206, {**tag, "Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"})
            return
        kept = self.server.breaks_off.pop(file.name, None)
        self.answer(body, headers=tag, kept=kept)

    def answer(
        self, body: bytes, status: int = 200, headers: dict[str, str] | None = None, kept: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:kept])
        if kept is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def serve() -> Iterator[Any]:
    hubs: list[Hub] = []

    def start(*arguments: Any, **settings: Any) -> Hub:
        hub = Hub(*arguments, **settings)
        hubs.append(hub)
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        return hub

    yield start
    for hub in hubs:
        hub.shutdown()
        hub.server_close()


def find_at(
    endpoint: str, home: Path, *arguments: str, program: str = PROGRAM, **environment: str
) -> tuple[list[Any], str]:
    """Return what `find` gave and all that it wrote, in a process of its own: the library reads its settings once."""
    settings = {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **settings, **environment},
    )
    return json.loads(done.stdout), done.stdout + done.stderr


def address(hub: Hub) -> str:
    return f"http://127.0.0.1:{hub.server_port}"


def test_a_download_brings_what_is_needed_and_nothing_that_could_be_unpickled(
    llama: Path, tmp_path: Path, serve: Any
) -> None:
    repository = shutil.copytree(llama, tmp_path / "repository")
    wanted = {path.name for path in llama.iterdir()} | {"tokenizer.json", "chat_template.jinja", "LICENSE", "README.md"}
    unwanted = ["pytorch_model.bin", "consolidated.safetensors", "original/consolidated.00.pth", "model.py", "x.onnx"]
    for name in [*wanted - {path.name for path in llama.iterdir()}, *unwanted]:
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("{}")
    hub = serve(repository)
    (names, tensors, public_name), said = find_at(address(hub), tmp_path)
    assert set(names) == wanted
    assert tensors == 30
    assert public_name == "owner/name"
    assert not any(name in path for path in hub.asked for name in unwanted)
    assert TOKEN not in said

    hub.shutdown()  # what was downloaded once needs no connection
    again, _ = find_at("http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")
    assert again == [sorted(names), tensors, public_name]


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (404, {"X-Error-Code": "RepoNotFound"}, "neither a folder here nor a model on the hub"),
        (401, {"X-Error-Code": "RepoNotFound"}, "neither a folder here nor a model on the hub"),
        (403, {"X-Error-Code": "GatedRepo"}, "/owner/name, then `hf auth login`"),
    ],
)
def test_the_hubs_refusals_become_one_clear_sentence_without_the_token(
    status: int, headers: dict[str, str], message: str, tmp_path: Path, serve: Any
) -> None:
    (kind, text), said = find_at(address(serve(None, status=status, headers=headers)), tmp_path)
    assert kind == "ModelError"
    assert message in text
    assert TOKEN not in said


def test_without_a_connection_the_message_says_so(tmp_path: Path) -> None:
    (kind, text), said = find_at("http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")
    assert kind == "ModelError"
    assert "the hub can't be reached" in text
    assert TOKEN not in said


def test_a_repository_with_pickles_only_is_refused(llama: Path, tmp_path: Path, serve: Any) -> None:
    repository = shutil.copytree(llama, tmp_path / "repository")
    (repository / "model.safetensors").rename(repository / "pytorch_model.bin")
    hub = serve(repository)
    (kind, text), _ = find_at(address(hub), tmp_path)
    assert kind == "ModelError"
    assert "no weights" in text
    assert not any("pytorch_model.bin" in path for path in hub.asked)


def test_a_download_that_breaks_off_goes_on_where_it_was(llama: Path, tmp_path: Path, serve: Any) -> None:
    hub = serve(llama)
    hub.breaks_off = {"model.safetensors": 50_000}
    (names, layout, size, _), _ = find_at(address(hub), tmp_path, program=GET)
    assert set(names) == {path.name for path in llama.iterdir()}
    assert (layout, size) == ("huggingface", sum(path.stat().st_size for path in llama.iterdir()))
    assert [asked for asked in hub.ranges if asked] == ["bytes=50000-"]


def test_run_again_only_what_is_missing_is_fetched(llama: Path, tmp_path: Path, serve: Any) -> None:
    hub = serve(llama)
    find_at(address(hub), tmp_path, program=GET)
    (weights,) = (tmp_path / "hub/models--owner--name/snapshots" / COMMIT).glob("model.safetensors")
    weights.resolve().unlink()
    weights.unlink()
    hub.ranges.clear()
    find_at(address(hub), tmp_path, program=GET)
    assert hub.ranges == [None]  # one file, from its beginning


def test_a_revision_is_fetched_and_an_unknown_one_named(llama: Path, tmp_path: Path, serve: Any) -> None:
    hub = serve(llama)
    (*_, folder), _ = find_at(address(hub), tmp_path, "v1.0", program=GET)
    assert folder == COMMIT
    (kind, text), _ = find_at(address(hub), tmp_path, "v9", program=GET)
    assert kind == "ModelError"
    assert f"has no revision 'v9'; its branches and tags are listed at {address(hub)}/owner/name/tree/main" in text


def test_a_disk_that_is_too_small_is_noticed_before_the_first_byte(llama: Path, tmp_path: Path, serve: Any) -> None:
    hub = serve(llama)
    hub.sizes = {"model.safetensors": 4 * shutil.disk_usage(tmp_path).total}
    (kind, text), _ = find_at(address(hub), tmp_path, program=GET)
    assert kind == "ResourceError"
    assert "GB are free in" in text
    assert not any("/resolve/" in path for path in hub.asked)


def test_mistrals_own_layout_is_fetched_where_there_is_no_other(llama: Path, tmp_path: Path, serve: Any) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    contents = {
        "params.json": "{}",
        "consolidated.safetensors": "x",
        "consolidated.00.pth": "x",
        "tokenizer.model.v3": "x",
    }
    for name, content in contents.items():
        (repository / name).write_text(content)
    (names, layout, *_), _ = find_at(address(serve(repository)), tmp_path / "home", program=GET)
    assert (set(names), layout) == (set(contents) - {"consolidated.00.pth"}, "mistral")
    (repository / "consolidated.safetensors").unlink()
    (names, layout, *_), _ = find_at(address(serve(repository)), tmp_path / "other", program=GET)
    assert (set(names), layout) == (set(contents) - {"consolidated.safetensors"}, "mistral")


def test_what_was_half_downloaded_is_told_when_the_hub_is_away(llama: Path, tmp_path: Path, serve: Any) -> None:
    hub = serve(llama)
    find_at(address(hub), tmp_path, program=GET)
    (tmp_path / "hub/models--owner--name/snapshots" / COMMIT / "model.safetensors").unlink()
    (kind, text), _ = find_at("http://127.0.0.1:9", tmp_path, program=GET, HF_HUB_OFFLINE="1")
    assert kind == "ModelError"
    assert "only a part of it was downloaded before" in text
