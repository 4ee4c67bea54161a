"""Time of an epoch and peak memory of a whole fit, from 10,000 answers to a million of 20,000 people to 1,000 problems.

Each size runs in a process of its own, three epochs and ten steps of the margins; the picture is docs/scaling.png.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
from timing import Table

N_EACH, N_PROBLEMS = 50, 1000
PEOPLE = (200, 600, 2_000, 6_000, 20_000)


def simulated(n_people: int) -> object:
    """People who answer 50 of 1,000 problems each."""
    from crowdpyro import CrowdData, Ordinal

    rng = np.random.default_rng(0)
    problem = rng.random((n_people, N_PROBLEMS)).argpartition(N_EACH, axis=1)[:, :N_EACH]
    latent = rng.normal(size=(n_people, 1)) + rng.normal(size=N_PROBLEMS)[problem] + rng.normal(size=problem.shape)
    return CrowdData.from_frames(
        pd.DataFrame(
            {
                "participant": np.repeat(np.arange(n_people), N_EACH),
                "problem": problem.ravel(),
                "response": np.clip(np.round(latent.ravel() + 3), 1, 5),
            }
        ),
        pd.DataFrame({"problem": range(N_PROBLEMS), "text": [f"statement number {t}" for t in range(N_PROBLEMS)]}),
        pd.DataFrame({"participant": range(n_people), "age": rng.integers(18, 80, n_people)}),
        scale=Ordinal.range(1, 5),
    )


def measure(n_people: int) -> dict[str, float]:
    """Seconds an epoch (median) and peak memory of the process, above what it held before the data, in MB."""
    import crowdpyro.inference.training  # noqa: F401 - its memory is not the fit's
    from crowdpyro import CrowdLLM, FitConfig, fitting

    ticks: list[float] = []
    # What a progress bar is told, when every epoch ends.
    fitting._bar = lambda progress, epochs: nullcontext(lambda epoch, loss: ticks.append(time.perf_counter()))
    data = simulated(n_people)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    config = FitConfig(epochs=4, margin_steps=10, every=4)
    start = time.perf_counter()
    CrowdLLM(text_encoder="tfidf", training=config, holdout_size=0.05).fit(data, seed=0)
    return {
        "answers": data.n_answers,
        "epoch": statistics.median(np.diff(ticks)),
        "fit": time.perf_counter() - start,
        "before": before,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """One process a size, then the table and the picture."""
    rows = []
    for n_people in PEOPLE:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", __file__, str(n_people)], capture_output=True, text=True, check=True
        )
        rows.append(json.loads(done.stdout))
    table = Table("Fit, by number of answers", ("answers", "s an epoch", "microseconds an answer", "peak MB"))
    for row in rows:
        each = 1e6 * row["epoch"] / row["answers"]
        table.add(f"{row['answers']:,}", f"{row['epoch']:.2f}", f"{each:.2f}", f"{row['peak']:,.0f}")
    table.close()
    picture(rows)


def picture(rows: list[dict[str, float]]) -> None:
    """Time and memory over the number of answers, both axes logarithmic, beside a line of slope one."""
    import matplotlib.pyplot as plt

    answers = np.array([row["answers"] for row in rows])
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), constrained_layout=True)
    epoch = np.array([row["epoch"] for row in rows])
    left.loglog(answers, epoch, "o-", color="#1f4e79", label="measured")
    left.loglog(answers, epoch[-1] * answers / answers[-1], "--", color="#999999", label="linear")
    left.set(xlabel="answers", ylabel="seconds an epoch")
    left.legend(frameon=False)
    right.semilogx(answers, [row["peak"] for row in rows], "o-", color="#1f4e79", label="whole process")
    right.semilogx(answers, [row["before"] for row in rows], "--", color="#999999", label="before the fit")
    right.set(xlabel="answers", ylabel="peak memory, MB", ylim=(0, None))
    right.legend(frameon=False)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(Path(__file__).parent.parent / "docs" / "scaling.png", dpi=150)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(measure(int(sys.argv[1]))))
    else:
        main()
