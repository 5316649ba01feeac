"""Fetching a model folder from the Hugging Face hub (or from the cache of an earlier download).

In: a hub id. Out: a folder with configuration, tokenizer, templates and safetensors, and nothing that could be run. Of
a model that is published in Mistral's own layout only, that is fetched, for `myna model convert`. Mirrors
(`HF_ENDPOINT`), the cache and going on (within a file while the program runs, with the missing files when it is run
again) are huggingface_hub's. Tokens stay inside it: they are in no message and in no log.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from myna.errors import ModelError, ResourceError
from myna.models.names import is_plain_name

_WEIGHTS = "*.safetensors"
_WANTED = (
    _WEIGHTS,
    "*.json",
    "tokenizer.model*",
    "*.tiktoken",
    "*.txt",
    "*.jinja",
    "README.md",
    "LICENSE*",
)
_SUBFOLDERS = "*/*"
_UNWANTED = (_SUBFOLDERS, "consolidated*", "adapter_*", "*.onnx*")  # in subfolders lie other formats
_MISTRALS = ("consolidated*.safetensors", "consolidated.*.pth")
"""Weights in Mistral's own layout, the better kind first."""

_LARGE = (_WEIGHTS, *_MISTRALS)

_HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]*/[\w.-]+")


def is_hub_id(model: str) -> bool:
    """Tell whether `model` is written like `owner/name`."""
    return _HUB_ID.fullmatch(model) is not None


def id_of_cached(folder: Path) -> str | None:
    """Return the hub id of a folder in the hub's cache, `models--owner--name/snapshots/<commit>`, None for others.

    The layout is huggingface_hub's (https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
    """
    home = folder.parent.parent.name
    if folder.parent.name != "snapshots" or not home.startswith("models--"):
        return None
    found = home.removeprefix("models--").replace("--", "/", 1)
    return found if is_hub_id(found) else None


def download(
    model: str, *, weights: bool = True, revision: str | None = None, look: Callable[[Path], None] = lambda _: None
) -> Path:
    """Return the folder of the hub's model `owner/name`, downloading what is not in the cache yet.

    Without `weights` only what is small: configuration, tokenizer and templates. revision: a branch, a tag or a commit;
    None the newest. look: is given the folder when the small files are there, before weights are fetched, and may
    raise. Raises `ModelError` when it is not there, not accessible or the hub can't be reached, or holds a file whose
    name is a path, and `ResourceError` when the disk is full or, before the first byte, when it will not do.
    """
    from huggingface_hub import snapshot_download

    with _explained(model, revision):
        commit, sizes = _listing(model, revision)
        wanted, unwanted = _patterns(sizes, weights=weights)
        if commit is not None:
            chosen = {name: size for name, size in sizes.items() if _matches(name, wanted, unwanted)}
            _check_names(model, chosen)
            _check_room(model, commit, chosen)
            wanted = tuple(chosen) or wanted  # what was checked, and nothing that another listing says
        if weights:
            small = (*unwanted, *_LARGE)
            folder = snapshot_download(
                model, revision=revision, allow_patterns=list(wanted), ignore_patterns=list(small)
            )
            look(Path(folder))
        return Path(
            snapshot_download(model, revision=revision, allow_patterns=list(wanted), ignore_patterns=list(unwanted))
        )


def _check_names(model: str, names: Iterable[str]) -> None:
    """Raise `ModelError` for a name that would be a path, a drive or a device on some system."""
    for name in names:
        if not is_plain_name(name):
            raise ModelError(
                f"{model}: has a file of the name {name[:100]!r}, which is no plain name; nothing was fetched"
            )


def _listing(model: str, revision: str | None) -> tuple[str | None, dict[str, int]]:
    """Return the newest commit and its files' sizes; None where the hub does not say, but the cache may do."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        info = HfApi().model_info(model, revision=revision or "main", files_metadata=True)
    except RevisionNotFoundError:
        raise
    except Exception:  # no connection, no access, no such model: the download meets it too, and knows the cache
        return None, {}
    return info.sha, {file.rfilename: file.size or 0 for file in info.siblings or ()}


def _patterns(sizes: Mapping[str, int], *, weights: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which files are fetched and which of these are not, as patterns."""
    if not weights:
        return _WANTED, (*_UNWANTED, _WEIGHTS)
    if not any(_matches(name, (_WEIGHTS,), _UNWANTED) for name in sizes):
        for pattern in _MISTRALS:
            if any(_matches(name, (pattern,), (_SUBFOLDERS,)) for name in sizes):
                return (*_WANTED, pattern), (_SUBFOLDERS,)
    return _WANTED, _UNWANTED


def _matches(name: str, wanted: tuple[str, ...], unwanted: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in wanted) and not any(fnmatch(name, pattern) for pattern in unwanted)


def _check_room(model: str, commit: str, sizes: Mapping[str, int]) -> None:
    """Raise `ResourceError` when what is missing in the cache does not fit on its disk."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_CACHE

    cache = Path(HF_HUB_CACHE)
    missing = [name for name in sizes if not isinstance(try_to_load_from_cache(model, name, revision=commit), str)]
    needed = sum(sizes[name] for name in missing)
    free = shutil.disk_usage(next(place for place in (cache, *cache.parents) if place.exists())).free
    if needed > free:
        raise ResourceError(
            f"{model}: needs {needed / 1e9:.1f} GB more, {free / 1e9:.1f} GB are free in {cache}; make room, or set "
            "HF_HOME to a folder on another disk"
        )


@contextmanager
def _explained(model: str, revision: str | None) -> Iterator[None]:
    """Turn what huggingface_hub raises into errors that a person can mend."""
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        IncompleteSnapshotError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    # `from None`: the original errors carry requests with headers, and a traceback would print them
    try:
        yield
    except GatedRepoError:
        raise ModelError(
            f"{model}: gated; accept the licence at {ENDPOINT}/{model}, then `hf auth login` (or set HF_TOKEN) with a "
            "token of the account that accepted it"
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"{model}: neither a folder here nor a model on the hub (or it is private: run `hf auth login`); "
            "check the spelling"
        ) from None
    except RevisionNotFoundError:
        raise ModelError(
            f"{model}: has no revision {revision!r}; its branches and tags are listed at {ENDPOINT}/{model}/tree/main"
        ) from None
    except IncompleteSnapshotError:
        raise ModelError(
            f"{model}: only a part of it was downloaded before, and the hub can't be reached; check the connection and "
            f"run myna model get {shlex.quote(model)}, which fetches the rest"
        ) from None
    except LocalEntryNotFoundError:
        raise ModelError(
            f"{model}: no such folder here, not downloaded before, and the hub can't be reached; "
            "check the spelling and the connection, or give the path of a model folder"
        ) from None
    except HFValidationError:
        raise ModelError(f"{model}: neither a folder here nor a valid hub id (`owner/name`)") from None
    except HfHubHTTPError as error:
        raise ModelError(f"{model}: the hub answered {error.response.status_code}; try again later") from None
    except OSError as error:
        if error.errno is None:
            raise ModelError(
                f"{model}: the download broke off; run the same command again, it fetches what is missing"
            ) from None
        raise ResourceError(f"{model}: could not be stored ({error.strerror}); make room or set HF_HOME") from None
