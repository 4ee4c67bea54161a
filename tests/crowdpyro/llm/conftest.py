"""A language model small enough to make: every test of this folder may ask it."""

from __future__ import annotations

from pathlib import Path

import pytest

SENTENCES = [
    "How much do you agree with this statement? Answer: 3",
    "I strongly agree, I agree, I strongly disagree, I disagree, and I am not sure.",
    "You are a nurse of 52. You are a farmer. Choose one number: 1, 2, 3, 4, 5.",
    "The weather is fine today and the children play outside until the evening comes.",
]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers, 128 positions, and a byte-level BPE that opens with <s>."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(SENTENCES, trainer)
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>")  # noqa: S106
    torch.manual_seed(0)
    network = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=128,
            initializer_range=0.3,
        )
    )
    folder = tmp_path_factory.mktemp("llm") / "tiny"
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
