"""Where weights go, in which precision, and what of that is said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from crowdpyro.errors import ModelError
from crowdpyro.llm import FrozenLLM
from crowdpyro.llm.loading import _precision

PROMPTS = ["The weather is fine. Answer:", "Children play outside. Answer:"]


@pytest.mark.skipif(torch.accelerator.is_available(), reason="an accelerator is there, and 'auto' takes it")
def test_without_an_accelerator_all_is_float32_on_the_cpu(tiny_folder: Path) -> None:
    llm = FrozenLLM(tiny_folder, threads=1)
    assert llm._network.device.type == "cpu"
    assert llm.settings == "plain prompt, float32"


def test_a_device_map_changes_no_number(tiny_folder: Path) -> None:
    placed, plain = (FrozenLLM(tiny_folder, threads=1, device=d, dtype="float32") for d in ("cpu:0", "cpu"))
    scores = [each.log_probabilities(PROMPTS, ["1", "10", "agree"]) for each in (placed, plain)]
    np.testing.assert_allclose(*scores, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "auto"])
def test_the_dtype_is_passed_and_said(tiny_folder: Path, dtype: str) -> None:
    llm = FrozenLLM(tiny_folder, threads=1, dtype=dtype)
    expected = torch.bfloat16 if dtype == "bfloat16" else torch.float32  # what the folder holds
    assert llm._network.dtype == expected
    assert str(expected).removeprefix("torch.") in llm.settings
    exact = FrozenLLM(tiny_folder, threads=1).log_probabilities(PROMPTS, ["1", "2"])
    np.testing.assert_allclose(llm.log_probabilities(PROMPTS, ["1", "2"]), exact, atol=0.3)


@pytest.mark.parametrize("device", ["nowhere", "cuda:99"])
def test_a_device_that_is_not_there_is_named(tiny_folder: Path, device: str) -> None:
    with pytest.raises(ModelError, match=f"device='{device}'.*give 'auto' or 'cpu'"):
        FrozenLLM(tiny_folder, device=device)


def test_a_quantisation_is_passed_on(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM

    seen = {}

    def refuse(*_: object, **how: object) -> None:
        seen.update(how)
        raise ImportError("the library of this quantisation is not installed")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", refuse)
    asked = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    with pytest.raises(ModelError, match="library of this quantisation is not installed"):
        FrozenLLM(tiny_folder, quantization_config=asked)
    assert seen["quantization_config"] is asked
    assert seen["trust_remote_code"] is False
    assert seen["weights_only"] is True


def test_each_quantisation_has_settings_of_its_own() -> None:
    said = [
        _precision(SimpleNamespace(dtype=torch.bfloat16, config=SimpleNamespace(quantization_config=how)))
        for how in (None, {"quant_method": "gguf"}, *({"quant_method": "awq", "bits": bits} for bits in (4, 8)))
    ]
    assert said[:2] == ["bfloat16", "bfloat16, gguf"]
    assert said[2].startswith("bfloat16, awq ")
    assert len(set(said)) == 4
