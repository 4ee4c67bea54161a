"""Streams by place: torch's generator is filled as numpy's, differs by place, and is given back."""

from __future__ import annotations

import random
import threading

import numpy as np
import torch

from crowdpyro.inference.streams import sequence, set_torch_state, streamed


def test_torch_draws_the_words_of_numpys_twister():
    which = sequence(5, 1, 2)
    before = torch.get_rng_state()
    try:
        set_torch_state(which)
        drawn = torch.rand(1000).numpy()
    finally:
        torch.set_rng_state(before)
    # numpy hands out the last word of the state first, torch begins by turning it over.
    words = np.random.MT19937(which).random_raw(1001)[1:]
    np.testing.assert_array_equal(drawn, (words % 2**24 / 2**24).astype(np.float32))


def draws(seed, *place):
    with streamed(sequence(seed, *place)) as rng:
        return (
            torch.randn(4).tolist(),
            np.random.normal(size=2).tolist(),
            random.getrandbits(30),
            rng.random(2).tolist(),
        )


def test_every_place_has_a_stream_of_its_own_that_is_found_again():
    # Two seeds that agree in their lower 32 bits would be one to `torch.manual_seed`.
    places = [(0, i, j) for i in range(6) for j in range(6)] + [(1, 0), (1, 2**32), (1, 0, 0)]
    first = [draws(3, *place) for place in places]
    assert first == [draws(3, *place) for place in places]
    for kind in range(4):
        assert len({str(each[kind]) for each in first}) == len(places)
    assert draws(4, 0, 0, 0) != first[0]


def test_the_state_around_a_stream_is_left_alone():
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    draws(0, 1)
    assert torch.equal(states[0], torch.get_rng_state())
    np.testing.assert_array_equal(states[1], np.random.get_state()[1])
    assert states[2] == random.getstate()


def test_threads_wait_for_each_other():
    alone, found = [draws(0, k)[0] for k in range(8)], {}

    def draw(k):
        with streamed(sequence(0, k)):
            found[k] = torch.randn(4).tolist()

    threads = [threading.Thread(target=draw, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[k] for k in range(8)] == alone
