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


class Hub(http.server.ThreadingHTTPServer):
    """Serves `folder` as the model owner/name; every other request gets `status`."""

    def __init__(self, folder: Path | None, status: int = 404, headers: dict[str, str] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.status, self.headers = folder, status, headers or {}
        self.asked: list[str] = []

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
        if root is not None and path == "/api/models/owner/name/revision/main":
            siblings = [{"rfilename": str(file.relative_to(root))} for file in self.server.files]
            self.answer(json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": siblings}).encode())
        elif root is not None and path == f"/api/models/owner/name/tree/{COMMIT}":
            entries = [
                {"type": "file", "path": str(file.relative_to(root)), "size": file.stat().st_size, "oid": "0" * 40}
                for file in self.server.files
            ]
            self.answer(json.dumps(entries).encode())
        elif root is not None and (file := root / path.removeprefix(f"/owner/name/resolve/{COMMIT}/")).is_file():
            self.answer(file.read_bytes())
        else:
            self.answer(b"{}", self.server.status, self.server.headers)

    do_HEAD = do_GET  # noqa: N815 (the base class looks for this name)

    def answer(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

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


def find_at(endpoint: str, home: Path, **environment: str) -> tuple[list[Any], str]:
    """Return what `find` gave and all that it wrote, in a process of its own: the library reads its settings once."""
    settings = {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
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
        (403, {"X-Error-Code": "GatedRepo"}, "its owner wants you to accept terms first"),
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
