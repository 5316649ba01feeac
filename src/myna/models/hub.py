"""Fetching a model folder from the Hugging Face hub (or from the cache of an earlier download).

In: a hub id. Out: a folder with configuration, tokenizer, templates and safetensors, and nothing that could be
unpickled or run. Tokens stay inside huggingface_hub: they are in no message and in no log.
"""

from __future__ import annotations

import re
from pathlib import Path

from myna.errors import ModelError, ResourceError

_WEIGHTS = "*.safetensors"
_WANTED = [
    _WEIGHTS,
    "*.json",
    "tokenizer.model",
    "*.tiktoken",
    "*.txt",
    "*.jinja",
    "README.md",
    "LICENSE*",
]
_UNWANTED = ["*/*", "consolidated*", "adapter_*", "*.onnx*"]  # `*/*`: other formats lie in subfolders

_HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]*/[\w.-]+")


def is_hub_id(model: str) -> bool:
    """Tell whether `model` is written like `owner/name`."""
    return _HUB_ID.fullmatch(model) is not None


def download(model: str, *, weights: bool = True) -> Path:
    """Return the folder of the hub's model `owner/name`, downloading what is not in the cache yet.

    Without `weights` only what is small: configuration, tokenizer and templates. Raises `ModelError` when it is not
    there, not accessible or the hub can't be reached, and `ResourceError` when the disk is full.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    # `from None`: the original errors carry requests with headers, and a traceback would print them
    unwanted = _UNWANTED if weights else [*_UNWANTED, _WEIGHTS]
    try:
        return Path(snapshot_download(model, allow_patterns=_WANTED, ignore_patterns=unwanted))
    except GatedRepoError:
        raise ModelError(
            f"{model}: its owner wants you to accept terms first; do so on the model's page on the hub, "
            "then run `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"{model}: neither a folder here nor a model on the hub (or it is private: run `hf auth login`); "
            "check the spelling"
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
            raise ModelError(f"{model}: the download broke off; run the same command again, it goes on") from None
        raise ResourceError(f"{model}: could not be stored ({error.strerror}); make room or set HF_HOME") from None
