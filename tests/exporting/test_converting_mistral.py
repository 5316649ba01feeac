"""Mistral's own releases: read in place, without unpickling, and the same model in transformers afterwards."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from mistral_releases import archive, release_folder, release_of, tiny_mistral
from myna.errors import ModelError
from myna.exporting import convert
from myna.models.sentencepiece_format import convert_tokenizer

TOKENS = torch.arange(3, 40)[None]  # longer than the window


@pytest.fixture(scope="module")
def mistral(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_mistral(tmp_path_factory.mktemp("mistral") / "hf")


@pytest.fixture(scope="module")
def tensors(mistral: Path) -> dict[str, torch.Tensor]:
    return release_of(mistral)


def logits(folder: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(TOKENS).logits


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar"])
def test_a_release_becomes_the_same_model_in_transformers(
    kind: str, packed: bool, mistral: Path, tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    release = release_folder(tmp_path / "7B", tensors, kind=kind)
    source = archive(release) if packed else release
    result = convert(source, tmp_path / "hf", to="huggingface")
    assert (result.source, result.tensors) == ("mistral", 30)
    assert torch.equal(logits(tmp_path / "hf"), logits(mistral))
    found, expected = (AutoConfig.from_pretrained(folder) for folder in (tmp_path / "hf", mistral))
    for key in ("sliding_window", "rope_parameters", "max_position_embeddings", "rms_norm_eps", "dtype", "head_dim"):
        assert getattr(found, key) == getattr(expected, key)


def test_the_file_of_weights_stands_for_its_folder(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    weights = release_folder(tmp_path / "7B", tensors) / "consolidated.00.pth"
    assert convert(weights, tmp_path / "hf", to="huggingface").tensors == 30
    (tmp_path / "7B/params.json").unlink()
    with pytest.raises(ModelError, match=r"7B: no params\.json beside the weights"):
        convert(weights, tmp_path / "x", to="huggingface")


def test_weights_in_hugging_faces_layout_come_first(mistral: Path, tmp_path: Path) -> None:
    """As the hub has them: both layouts in one folder."""
    both = shutil.copytree(mistral, tmp_path / "both")
    (both / "params.json").write_text("{}")
    (both / "consolidated.safetensors").write_bytes(b"not to be read")
    assert convert(both, tmp_path / "mlx", to="mlx").source == "huggingface"


# Linux hands the peak of the process that starts another down to it in ru_maxrss; VmHWM belongs to the process alone
MEASURE = """
import pathlib, re, sys
from myna.exporting import convert
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])
convert(sys.argv[1], sys.argv[3] + "-small", to="huggingface")
before = peak()
convert(sys.argv[2], sys.argv[3], to="huggingface")
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of a process's peak memory")
def test_a_release_takes_a_few_megabytes_whatever_it_weighs(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    small = archive(release_folder(tmp_path / "small", tensors))
    sizes = {"vocab_size": 60_000, "hidden_size": 512, "intermediate_size": 2048}
    many = release_of(tiny_mistral(tmp_path / "large-hf", head_dim=128, **sizes), head_dim=128)
    params = {"vocab_size": 60_000, "dim": 512, "hidden_dim": 2048, "head_dim": 128}
    large = archive(release_folder(tmp_path / "large", many, **params))
    assert large.stat().st_size > 140_000_000
    arguments = [str(small), str(large), str(tmp_path / "hf")]
    done = subprocess.run([sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True)
    # two chunks of 16 MiB and what the allocator keeps; the largest tensor alone weighs 61 MB
    assert int(done.stdout) < 40_000_000


def test_releases_that_say_less_get_what_theirs_had(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """The first release says nothing of theta and context, the second nothing of a window."""
    release = release_folder(tmp_path / "7B", tensors, rope_theta=None, sliding_window=None, max_seq_len=None)
    convert(release, tmp_path / "hf", to="huggingface")
    config = json.loads((tmp_path / "hf/config.json").read_text())
    assert (config["rope_theta"], config["sliding_window"], config["max_position_embeddings"]) == (10000.0, None, 32768)


def test_safetensors_in_several_files_are_read_together(
    mistral: Path, tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    release = release_folder(tmp_path / "7B", {}, kind="safetensors")
    (release / "consolidated.safetensors").unlink()
    names = sorted(tensors)
    for number, part in enumerate((names[:11], names[11:]), start=1):
        parts = release_folder(tmp_path / str(number), {name: tensors[name] for name in part}, kind="safetensors")
        shutil.move(parts / "consolidated.safetensors", release / f"consolidated-{number:05d}-of-00002.safetensors")
    convert(release, tmp_path / "hf", to="huggingface")
    assert torch.equal(logits(tmp_path / "hf"), logits(mistral))


def test_a_release_becomes_an_mlx_folder_too(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    mx = pytest.importorskip("mlx.core", reason="mlx is not installed")
    load_model = pytest.importorskip("mlx_lm.utils", reason="mlx-lm is not installed").load_model
    release = release_folder(tmp_path / "7B", tensors)
    result = convert(release, tmp_path / "mlx", to="mlx", dtype="float32")
    assert any("the last 7 tokens" in notice for notice in result.notices)
    convert(release, tmp_path / "hf", to="huggingface", dtype="float32")
    short = TOKENS[:, :7]
    with torch.no_grad():
        expected = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")(short).logits
    found = torch.tensor(load_model(tmp_path / "mlx")[0](mx.array(short.numpy())).tolist())
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))  # float32, another order of sums


# --- the tokenizer


TEXTS = [
    "Hello world",
    " a blank in front,  two inside, one behind ",
    "def f(x):\n\treturn x ** 2  # 平方",
    "🐦 八哥",
    "",
]


@pytest.fixture(scope="module")
def sentencepiece_model() -> bytes:
    """A small model of the kind that Mistral publishes: BPE, bytes where a character is missing, control tokens."""
    library = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    written = io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=written,
        model_type="bpe",
        vocab_size=500,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        control_symbols=["[INST]", "[/INST]"],
        minloglevel=2,
    )
    return written.getvalue()


def test_the_tokenizer_makes_the_tokens_that_sentencepiece_makes(sentencepiece_model: bytes, tmp_path: Path) -> None:
    from sentencepiece import SentencePieceProcessor

    original = SentencePieceProcessor(model_proto=sentencepiece_model)
    ids = convert_tokenizer(sentencepiece_model, tmp_path, source="here")
    assert ids == {"bos_token_id": 1, "eos_token_id": 2}
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        expected = original.encode(text)
        assert tokenizer.encode(text, add_special_tokens=False) == expected
        assert tokenizer.encode(text) == [1, *expected]
        assert tokenizer.decode(expected) == original.decode(expected)
    assert tokenizer.encode("[INST]", add_special_tokens=False) == [original.piece_to_id("[INST]")]
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token) == ("<s>", "</s>", "<unk>")


def test_a_release_with_a_tokenizer_becomes_a_folder_that_is_complete(
    sentencepiece_model: bytes, tmp_path: Path
) -> None:
    """The tokenizer beside the weights, and its special tokens in the configuration."""
    tensors = release_of(tiny_mistral(tmp_path / "m", vocab_size=500))
    release = release_folder(tmp_path / "7B", tensors, vocab_size=500, tokenizer=b"an older one, not to be taken")
    (release / "tokenizer.model.v3").write_bytes(sentencepiece_model)
    result = convert(archive(release), tmp_path / "hf", to="huggingface")
    assert any("no chat template" in notice for notice in result.notices)
    assert AutoTokenizer.from_pretrained(tmp_path / "hf").encode("a") == [1, *_encode(sentencepiece_model, "a")]
    config = AutoConfig.from_pretrained(tmp_path / "hf")
    assert (config.bos_token_id, config.eos_token_id) == (1, 2)


def _encode(model: bytes, text: str) -> list[int]:
    from sentencepiece import SentencePieceProcessor

    return SentencePieceProcessor(model_proto=model).encode(text)


def test_a_tokenizer_that_is_none_is_refused_and_nothing_is_left(
    tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    release = release_folder(tmp_path / "7B", tensors, tokenizer=b"no such model")
    with pytest.raises(ModelError, match=r"tokenizer\.model: no SentencePiece model"):
        convert(release, tmp_path / "hf", to="huggingface")
    assert not (tmp_path / "hf").exists()


# --- what is no release


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploded",)


def test_a_program_in_the_pickle_is_refused_and_not_run(
    tensors: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    release = release_folder(tmp_path / "7B", {**tensors, "extra": Bomb()})  # type: ignore[dict-item]
    with pytest.raises(
        ModelError, match=r"consolidated\.00\.pth: can't be read as a checkpoint that holds nothing but"
    ):
        convert(release, tmp_path / "hf", to="huggingface")
    assert not (tmp_path / "exploded").exists()
    assert not (tmp_path / "hf").exists()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (member("../outside"), r"'\.\./outside' points out of the archive"),
        (member("7B/../../outside"), "points out of the archive"),
        (member("/tmp/outside"), "points out of the archive"),
        (member("7B/tokenizer.model", tarfile.SYMTYPE, "/etc/passwd"), "is no plain file"),
        (member("7B/tokenizer.model", tarfile.LNKTYPE, "7B/params.json"), "is no plain file"),
        (member("7B/device", tarfile.CHRTYPE), "is no plain file"),
        (member("8B/params.json"), r"holds 2 params\.json"),
    ],
)
def test_an_archive_that_could_do_harm_is_refused(
    extra: tarfile.TarInfo, message: str, tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = archive(release_folder(tmp_path / "a" / "7B", tensors), extra)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ModelError, match=message):
        convert(path, tmp_path / "hf", to="huggingface")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.9, 0.999])
def test_a_half_downloaded_release_is_refused(
    kind: str, share: float, tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    whole = release_folder(tmp_path / "7B", tensors, kind=kind)
    packed = archive(whole)
    cut = packed.stat().st_size - 10240  # an archive's end is padded with zeros
    os.truncate(packed, int(cut * share))
    (weights,) = whole.glob("consolidated*")
    os.truncate(weights, int(weights.stat().st_size * share))
    for source in (packed, whole):
        with pytest.raises(ModelError, match="again"):
            convert(source, tmp_path / "hf", to="huggingface")
    assert not (tmp_path / "hf").exists()


def test_an_archive_of_something_else_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/bird.jpg").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"photos\.tar: holds no params\.json; expected one of Mistral's releases"):
        convert(archive(tmp_path / "photos"), tmp_path / "hf", to="huggingface")
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as packed:
        packed.add(tmp_path / "photos", "photos")
    with pytest.raises(ModelError, match=r"compressed; unpack it first \(gunzip"):
        convert(tmp_path / "packed.tar", tmp_path / "hf", to="huggingface")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dim": None}, "dim is None; expected a number above zero"),
        ({"dim": 64}, r"tok_embeddings\.weight is BF16 \[97, 32\], but params\.json asks for .*\[97, 64\]"),
        ({"n_layers": 4}, r"lacks layers\.3\.attention\.wk\.weight"),
        ({"n_layers": 2}, r"holds layers\.2\.attention\.wk\.weight, which no such model has"),
        ({"n_layers": 10**12}, "n_layers is 1000000000000, but there are only 30 tensors"),
        ({"max_seq_len": "long"}, "max_seq_len is 'long'; expected a number above zero"),
        ({"norm_eps": float("inf")}, "norm_eps is inf"),
        ({"n_heads": True}, "n_heads is True"),
        ({"head_dim": 7}, "head_dim is 7; expected an even number"),
        ({"norm_eps": "small"}, "norm_eps is 'small'"),
        ({"moe": {"num_experts": 8}}, r"moe = \{'num_experts': 8\} is not supported; only dense text models"),
        ({"vision_encoder": {"dim": 1}}, "vision_encoder .* is not supported"),
    ],
)
def test_parameters_that_do_not_fit_are_named(
    changed: dict[str, object], message: str, tensors: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    release = release_folder(tmp_path / "7B", tensors, **changed)
    with pytest.raises(ModelError, match=message):
        convert(release, tmp_path / "hf", to="huggingface")


def test_weights_cut_up_for_several_gpus_are_refused(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    release = release_folder(tmp_path / "7B", tensors)
    shutil.copy(release / "consolidated.00.pth", release / "consolidated.01.pth")
    with pytest.raises(ModelError, match="cut into 2 parts for as many GPUs"):
        convert(release, tmp_path / "hf", to="huggingface")


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    for content, message in (
        ([1, 2], "holds a list; expected tensors by their names"),
        ({"step": 3}, "step is a int"),
        ({"a": torch.zeros(3, dtype=torch.int64)}, r"a is torch\.int64 numbers"),
        ({"a": torch.zeros(4, 4).T[1:]}, "a does not lie there in one piece"),
    ):
        release = release_folder(tmp_path / message[:4] / "7B", content)  # type: ignore[arg-type]
        with pytest.raises(ModelError, match=message):
            convert(release, tmp_path / "hf", to="huggingface")
    torch.save({"a": torch.zeros(3)}, release / "consolidated.00.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(ModelError, match=r"no checkpoint of torch 1\.6 or later"):
        convert(release, tmp_path / "hf", to="huggingface")
