"""Random streams by place: each part of a large job has its own, whoever computes it and in whatever order.

state(place) = MT19937( SeedSequence(seed, spawn_key=place) )

torch's own `manual_seed` fills its generator from 32 bits: of the 100,000 parts of a crowd of 10^11 decisions, one
expects that two share theirs (10^10 / 2 pairs in 4.3 10^9 seeds), and with it every draw. numpy's SeedSequence fills
all 19,937 bits, and its streams are made to be used side by side.

Source: M. E. O'Neill (2015), Developing a seed_seq alternative; numpy.random.SeedSequence.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from .runtime import seeded
from .seeds import checked_seed

# One at a time: torch has one generator a process, and threads of a cluster's worker would draw from each other's
# streams. Their writing goes on meanwhile.
_DRAWING = threading.Lock()
# In torch's state: a seed, a counter, two flags and a place before the 624 words, each in 64 bits.
_FIRST_WORD, _WORDS = 24, 624


def sequence(seed: int, *place: int) -> np.random.SeedSequence:
    """The stream's seed: of the run's seed, and of the numbers that say which part it is.

    Parameters
    ----------
    seed
        Of the run.
    place
        Numbers that say which part it is, such as a kind, a row and a column of the grid.

    Returns
    -------
    SeedSequence
        The same for the same numbers, and independent of that of any others.

    Raises
    ------
    ModelError
        When `seed` is no whole number from 0 up.
    """
    return np.random.SeedSequence(checked_seed(seed), spawn_key=place)


@contextmanager
def streamed(which: np.random.SeedSequence, device: torch.device | str = "cpu") -> Iterator[np.random.Generator]:
    """Let torch, numpy and Python draw from a stream for a block, on one thread, and restore everything after.

    Parameters
    ----------
    which
        The stream.
    device
        Where torch draws; elsewhere than on the CPU its generator is seeded with 64 bits.

    Yields
    ------
    Generator
        numpy's, of a child of the stream.
    """
    words = which.generate_state(8)
    with _DRAWING, seeded(int(words[0]), device):
        # What programs of one's own may draw from.
        np.random.seed(words)  # noqa: NPY002
        random.seed(words.tobytes())
        if torch.device(device).type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(int.from_bytes(words[:2].tobytes(), "little"))
        set_torch_state(which)
        yield np.random.default_rng(which.spawn(1)[0])


def set_torch_state(which: np.random.SeedSequence) -> None:
    """Set torch's generator of the CPU to the beginning of a stream."""
    words = np.random.MT19937(which).state["state"]["key"]
    state = torch.Generator().manual_seed(0).get_state().numpy()
    state[_FIRST_WORD : _FIRST_WORD + 8 * _WORDS] = words.astype(np.uint64).view(np.uint8)
    torch.set_rng_state(torch.from_numpy(state))
