import pyro.distributions as dist
import pytest
import torch

from crowdpyro.models.annotation import Ragged

ITEM = torch.tensor([2, 0, 2, 2, 0])


def _answers(*batch):
    generator = torch.Generator().manual_seed(0)
    return dist.Categorical(logits=torch.randn(*batch, len(ITEM), 3, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("batch", [(), (4,), (4, 2)])
def test_log_probs_are_summed_within_items(batch):
    answers = _answers(*batch)
    value = torch.tensor([0, 1, 2, 1, 0])
    found = Ragged(answers, ITEM, 4).log_prob(value)
    each = answers.log_prob(value)
    expected = torch.stack([each[..., item == ITEM].sum(-1) for item in range(4)], dim=-1)
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)
    assert found.shape == (*batch, 4)


def test_it_expands_to_plates_on_the_left():
    ragged = Ragged(_answers(), ITEM, 4)
    wide = ragged.expand(torch.Size([5, 4]))
    value = torch.tensor([0, 1, 2, 1, 0])
    assert wide.batch_shape == (5, 4)
    torch.testing.assert_close(wide.log_prob(value), ragged.log_prob(value).expand(5, 4))


def test_draws_have_one_value_an_answer():
    answers = _answers()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        draws = Ragged(answers, ITEM, 4).sample(torch.Size([4000]))
    assert draws.shape == (4000, 5)
    share = torch.nn.functional.one_hot(draws, 3).double().mean(0)
    # 15 shares: a right sampler leaves 4.5 standard errors anywhere with chance 1e-4.
    assert ((share - answers.probs).abs() < 4.5 * (answers.probs * (1 - answers.probs) / 4000).sqrt()).all()
