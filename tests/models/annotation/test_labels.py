import pytest
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO

from crowdpyro import DataError
from crowdpyro.models.annotation import Glad, Labels

GOOD = {
    "item": torch.tensor([0, 0, 1]),
    "worker": torch.tensor([0, 1, 1]),
    "label": torch.tensor([1, 0, 1]),
    "n_items": 3,
    "n_workers": 2,
    "n_classes": 2,
}


def test_codes_without_rows_are_allowed():
    assert Labels(**GOOD).n_labels == 3


def test_codes_of_four_bytes_are_the_same_table():
    short = {name: value.int() for name, value in GOOD.items() if isinstance(value, torch.Tensor)}
    wide = Labels(**GOOD, known=torch.tensor([-1, 1, -1]))
    narrow = Labels(**GOOD | short, known=torch.tensor([-1, 1, -1], dtype=torch.int32))
    params = {name: value.detach() for name, value in Glad(prevalence=2.0).parameters(wide).items()}
    for each in (wide, narrow):
        program = poutine.condition(Glad(prevalence=2.0), data=params)
        density = -TraceEnum_ELBO(max_plate_nesting=1).loss(program, lambda _: None, each)
        assert density == pytest.approx(Glad(prevalence=2.0).log_joint(params, wide).item(), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"item": torch.tensor([0, 0, 3])}, "item reaches from 0 to 3; give codes from 0 to 2"),
        ({"worker": torch.tensor([-1, 1, 1])}, "worker reaches from -1"),
        ({"label": torch.tensor([2, 0, 1])}, "label reaches from 0 to 2"),
        ({"label": torch.tensor([1.0, 0.0, 1.0])}, "label is torch.float32"),
        ({"worker": torch.tensor([0, 1])}, "worker is torch.int64 of shape"),
        ({"known": torch.tensor([0, -2, 1])}, "known reaches from -2"),
        ({"known": torch.tensor([0, 1])}, "known is torch.int64 of shape"),
        ({"history": torch.zeros(2, 2)}, "history has shape"),
        ({"history": torch.full((2, 2, 2), -1.0)}, "history reaches down to -1"),
        ({"history": torch.full((2, 2, 2), float("nan"))}, "history reaches down to nan"),
        ({name: torch.zeros(0, dtype=torch.int64) for name in ("item", "worker", "label")}, "no row"),
    ],
)
def test_bad_tables_are_named(change, message):
    with pytest.raises(DataError, match=message):
        Labels(**GOOD | change)
