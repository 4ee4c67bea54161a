"""Crowds out: decisions of virtual participants, or of humans in the same container."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from .aggregation.summaries import summarise
from .aggregation.truth import MODELS
from .crowd_form import DIMS, as_stored, codes_of, recorded
from .data import CrowdData, require_data
from .errors import DataError
from .inference.checks import correlations
from .inference.seeds import generator
from .models.ballot import Ballot
from .models.scales import Categorical, Continuous, Ordinal, Scale, scale_from_dict
from .outside import refused
from .survey import WEIGHT, checked_weights
from .table_writing import check_suffix, write_table
from .tables import counted

if TYPE_CHECKING:
    from distributed import Client
    from xarray import DataTree

FloatArray = npt.NDArray[np.float64]


class Crowd:
    """Answers of participants to problems.

    Attributes
    ----------
    dataset
        Dimensions `participant, problem`; variable `response`: int8 codes with -1 for "did not take part" on
        discrete scales (int16 above 126 levels), float32 with NaN otherwise. Ballots have a third dimension, `option`.
        Coordinates: problem texts, traits as `profile_NAME`, survey weights as `weight`. Attributes: scale, source
        (`synthetic` or `human`), seed, decision, reference, versions.

    Raises
    ------
    DataError
        When the dataset is not a crowd's: no `response`, no scale, or other dimensions.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        if "response" not in dataset or dataset["response"].dims[:2] != DIMS[:2]:
            raise DataError("dataset lacks a variable 'response' over (participant, problem); open a crowd's file.")
        if "scale" not in dataset.attrs:
            raise DataError("dataset lacks the attribute 'scale'; open a crowd's file.")
        if not isinstance(dataset.attrs.get("source", ""), str):
            raise DataError(f"dataset's attribute 'source' is {dataset.attrs['source']!r}; it is synthetic or human.")
        self.dataset = dataset
        if dataset["response"].dims != DIMS[: 2 + isinstance(self.scale, Ballot)]:
            raise DataError(
                f"variable 'response' is over {dataset['response'].dims} on {self.scale}; open a crowd's file."
            )

    @classmethod
    def from_matrix(
        cls,
        matrix: npt.ArrayLike,
        *,
        scale: Scale,
        problems: pd.DataFrame,
        participants: pd.DataFrame,
        source: Literal["synthetic", "human"] = "synthetic",
        weights: npt.ArrayLike | None = None,
        **attrs: Any,
    ) -> Crowd:
        """A crowd from codes or values.

        Parameters
        ----------
        matrix
            Shape `(n_participants, n_problems)`, of ballots `(..., n_options)`, NaN where somebody did not take part.
        scale
            What an answer may be.
        problems, participants
            As in `CrowdData`.
        source
            Where the answers come from.
        weights
            How much each participant counts in what is said of a population, `(n_participants,)`; None for all alike.
        **attrs
            Numbers and strings to record.

        Raises
        ------
        DataError
            When the matrix has another shape, or a number that single precision does not have.
        """
        with np.errstate(over="ignore"):
            values = np.asarray(matrix, dtype=np.float32)
        if np.isinf(values).any():
            raise DataError("matrix holds a number beyond 3.4e38, the largest of single precision; scale it down.")
        expected = (len(participants), len(problems), *((scale.n_levels,) if isinstance(scale, Ballot) else ()))
        if values.shape != expected:
            raise DataError(f"matrix has shape {values.shape}; expected {expected}.")
        response = as_stored(values, scale, attrs.get("decision", "draw"))
        coords: dict[str, Any] = {
            "participant": np.asarray(participants.index),
            "problem": np.asarray(problems.index),
        }
        if isinstance(scale, Ballot):
            coords["option"] = np.asarray(scale.options, dtype=str)
        if "text" in problems.columns:
            coords["text"] = ("problem", problems["text"].to_numpy(dtype=str))
        for name, column in participants.items():
            numeric = pd.api.types.is_numeric_dtype(column)
            coords[f"profile_{name}"] = (
                "participant",
                column.to_numpy() if numeric else column.to_numpy(dtype=str),
            )
        if weights is not None:
            coords[WEIGHT] = ("participant", checked_weights(weights, len(participants)))
        return cls(
            xr.Dataset({"response": (DIMS[: response.ndim], response)}, coords, recorded(scale, source, **attrs))
        )

    @classmethod
    def from_data(cls, data: CrowdData) -> Crowd:
        """The humans themselves as a crowd, with their survey weights.

        Raises
        ------
        DataError
            When `data` is no `CrowdData`.
        """
        require_data(data)
        return cls.from_matrix(
            data.matrix(),
            scale=data.scale,
            problems=data.problems,
            participants=data.participants,
            source="human",
            weights=data.weights,
        )

    def __repr__(self) -> str:
        people = counted(self.n_participants, f"{self.dataset.attrs.get('source', 'unknown')} participant")
        return f"<Crowd: {people} x {counted(self.n_problems, 'problem')}, {self.scale}>"

    @property
    def scale(self) -> Scale:
        """What an answer may be.

        Raises
        ------
        DataError
            When the dataset names a scale of no known kind.
        """
        return scale_from_dict(json.loads(self.dataset.attrs["scale"]))

    @property
    def n_participants(self) -> int:
        """Number of participants."""
        return int(self.dataset.sizes["participant"])

    @property
    def n_problems(self) -> int:
        """Number of problems."""
        return int(self.dataset.sizes["problem"])

    @property
    def problems(self) -> pd.Index:
        """Ids of the problems."""
        index: pd.Index = pd.Index(self.dataset["problem"].to_numpy(), name="problem")
        return index

    @property
    def weights(self) -> FloatArray | None:
        """How much each participant counts, of mean 1, `(n_participants,)`; None where all count alike."""
        return self.dataset[WEIGHT].to_numpy() if WEIGHT in self.dataset.coords else None

    def codes(self) -> FloatArray:
        """Codes, values or ballots, `(n_participants, n_problems, ...)`, NaN where somebody did not take part."""
        return codes_of(self.dataset["response"].to_numpy())

    def values(self) -> FloatArray:
        """Answers in the unit of the response (labels' codes, votes, points), shaped as `codes`, NaN where absent."""
        return self._in_unit(self.codes())

    def _in_unit(self, codes: FloatArray) -> FloatArray:
        """Numbers of codes."""
        if isinstance(self.scale, Continuous | Ballot) or self._expected:
            return codes
        return np.where(np.isnan(codes), np.nan, self.scale.values[np.nan_to_num(codes).astype(int)])

    @property
    def _expected(self) -> bool:
        return bool(np.issubdtype(self.dataset["response"].dtype, np.floating))

    def counts(self) -> FloatArray:
        """How often each level was given to each problem, `(n_problems, n_levels)`; of ballots, votes or points.

        With weights, an answer counts as often as its participant's weight says.

        Raises
        ------
        DataError
            When answers are numbers: a continuous scale, or expected decisions.
        """
        weights = self.weights
        if isinstance(self.scale, Continuous) or self._expected:
            raise DataError("counts need drawn answers on a discrete scale; these are numbers.")
        if isinstance(self.scale, Ballot):
            votes = self.codes()
            return np.asarray(np.nansum(votes if weights is None else votes * weights[:, None, None], axis=0))
        codes = self.dataset["response"].to_numpy()
        given = (codes == level for level in range(self.scale.n_levels))
        totals = [each.sum(axis=0) if weights is None else weights @ each for each in given]
        return np.stack(totals, axis=1).astype(float)

    def shares(self) -> FloatArray:
        """Share of each level among those who took part, shape `(n_problems, n_levels)`, NaN where nobody did.

        Of ballots, the mean votes or points of each option: under `approval` and `choose`, the share of voters.
        Participants count by their weights.

        Raises
        ------
        DataError
            As `counts`.
        """
        counts = self.counts()
        if isinstance(self.scale, Ballot):
            there = ~np.isnan(self.codes()[..., 0])
            total = (there.sum(axis=0) if self.weights is None else self.weights @ there)[:, None]
        else:
            total = counts.sum(axis=1, keepdims=True)
        return np.where(total > 0, counts / np.where(total > 0, total, 1.0), np.nan)

    def correlation(self, min_pairs: int = 10) -> pd.DataFrame:
        """Pearson correlation of every two problems over the people who answered both, weighted where they are.

        Parameters
        ----------
        min_pairs
            Pairs with fewer people, or without variance, are NaN.

        Returns
        -------
        DataFrame
            Shape `(n_problems, n_problems)`.

        Raises
        ------
        DataError
            On ballots, which are several numbers each.
        """
        if isinstance(self.scale, Ballot):
            raise DataError(
                "correlation: a ballot is a number an option, so that two problems have no one correlation; take "
                "numpy.corrcoef of columns of values()."
            )
        found = correlations(self.values(), min_pairs, self.weights)
        return pd.DataFrame(found, index=self.problems, columns=self.problems)

    def aggregate(self, method: str = "mean", *, seed: int = 0, **options: Any) -> pd.Series | pd.DataFrame:
        """One answer a problem: `mean`, `median`, `majority`, or a model's most probable truth, in the unit of answers.

        Of ballots, `mean` is a frame of the mean votes or points, one column an option, and `majority` the option with
        the most of them, ties broken at random by the seed: the winner by approval, plurality, Borda count or points.

        Parameters
        ----------
        method
            A summary, by survey weight where people have one; or a model that weighs them by how well they agree,
            whatever their survey weights: `dawid_skene`, `glad`, `mace` and others of `crowdpyro.aggregate`, which
            tells more than the answers.
        seed
            Of ties, and of the model's inference.
        **options
            Of `crowdpyro.aggregate`, such as `inference` and `golden`.

        Raises
        ------
        DataError
            When the method does not suit the scale, or takes no such options.
        """
        scale = self.scale
        if method in MODELS:
            return self._truth(method, seed, options)
        if options:
            raise DataError(f"method={method!r} takes no {next(iter(options))}; give one of {', '.join(MODELS)}.")
        if isinstance(scale, Ballot):
            return self._elected(scale, method, seed)
        if method == "majority" and not isinstance(scale, Continuous) and not self._expected:
            found = summarise(self.codes(), "majority", n_levels=scale.n_levels, seed=seed, weights=self.weights)
            return self._named(found)
        if scale.kind == "categorical":
            raise DataError(f"method={method!r}: labels have no {method}; give 'majority'.")
        if method == "majority":
            raise DataError("method='majority' needs drawn answers on a discrete scale; give 'mean' or 'median'.")
        found = summarise(self.values(), method, seed=seed, weights=self.weights)
        return pd.Series(found, index=self.problems, name=method)

    def _named(self, codes: FloatArray) -> pd.Series:
        """Majorities as answers, from their codes."""
        known, scale = ~np.isnan(codes), self.scale
        answers = np.full(len(codes), np.nan, dtype=object)
        answers[known] = scale.decode(codes[known])
        result = pd.Series(answers, index=self.problems, name="majority")
        return result if scale.kind == "categorical" else result.astype(float)

    def _truth(self, method: str, seed: int, options: dict[str, Any]) -> pd.Series:
        """The most probable truth of each problem under a model of annotation."""
        from .aggregation.truth import aggregate

        scale = self.scale
        if isinstance(scale, Ballot | Continuous) or self._expected:
            raise DataError(f"method={method!r} needs drawn answers on a discrete scale; give 'mean' or 'median'.")
        frame = self.to_frame()[["problem", "participant", "response"]]
        found = aggregate(frame, method, scale=scale, seed=seed, **options).labels.rename(method)
        answers = found.reindex(self.problems)
        return answers if scale.kind == "categorical" else answers.astype(float)

    def _elected(self, scale: Ballot, method: str, seed: int) -> pd.Series | pd.DataFrame:
        """Aggregates of ballots."""
        values = self.codes()
        there, mean = ~np.isnan(values[..., 0]), self.shares()
        if method == "mean":
            return pd.DataFrame(mean, index=self.problems, columns=pd.Index(scale.options, name="option"))
        if method != "majority":
            raise DataError(f"method={method!r}: ballots have no {method}; give 'mean' or 'majority'.")
        # One ballot more or less is at least 1 / n, so that a smaller draw breaks ties and nothing else.
        ties = generator(seed).random(mean.shape) * 1e-6
        winner = (np.nan_to_num(mean) + ties).argmax(axis=1)
        elected = np.where(there.any(axis=0), np.asarray(scale.options, dtype=object)[winner], np.nan)
        return pd.Series(elected, index=self.problems, name="majority")

    def to_frame(self) -> pd.DataFrame:
        """Long frame `participant, problem, response, source`, one row an answer, with the traits beside.

        Ratings on whole-number levels are integers; labels are labels, the expected one being the likeliest. A ballot
        is its text. Survey weights are in a column `weight`, or `survey_weight` beside a trait of that name. An
        expected ballot is none: instead of `response` there is `mean_OPTION` for each option.
        """
        codes, scale = self.codes(), self.scale
        person, problem = np.nonzero(~np.isnan(codes if codes.ndim == 2 else codes[..., 0]))
        given = codes[person, problem]
        if isinstance(scale, Ballot) and self._expected:
            answers: dict[str, Any] = {f"mean_{option}": given[:, k] for k, option in enumerate(scale.options)}
        else:
            answers = {"response": self._written(given)}
        frame = pd.DataFrame(
            {
                "participant": self.dataset["participant"].to_numpy()[person],
                "problem": self.dataset["problem"].to_numpy()[problem],
                **answers,
                "source": self.dataset.attrs.get("source", "unknown"),
            }
        )
        if self.weights is not None:
            taken = f"profile_{WEIGHT}" in self.dataset.coords
            frame[f"survey_{WEIGHT}" if taken else WEIGHT] = self.weights[person]
        for name in self.dataset.coords:
            if str(name).startswith("profile_"):
                frame[str(name).removeprefix("profile_")] = self.dataset[name].to_numpy()[person]
        return frame

    def _written(self, given: FloatArray) -> npt.NDArray[Any]:
        """Answers as a person would write them."""
        scale = self.scale
        if isinstance(scale, Continuous):
            # Kept in single precision, .7 is less than .7.
            return np.clip(given, scale.low, scale.high)
        if self._expected and not isinstance(scale, Categorical):
            return given
        decoded = scale.decode(given)
        whole = isinstance(scale, Ordinal) and all(level.is_integer() for level in scale.levels)
        return decoded.astype(np.int64) if whole else decoded

    def to_datatree(self, observed: CrowdData | None = None) -> DataTree:
        """Groups for ArviZ: `posterior_predictive`, `constant_data` and, with humans, `observed_data`.

        ArviZ 0.x takes the tree by `az.InferenceData.from_datatree(tree)`; ArviZ 1 is untested.

        Parameters
        ----------
        observed
            Humans; their problems that the crowd did not answer are left out.

        Returns
        -------
        DataTree
            The answers as `y`, dimensions `chain, draw, problem`, a draw a participant; of ballots `option` as well.
        """
        from .arviz_bridge import to_datatree

        return to_datatree(self, observed)

    def to_netcdf(self, path: str | Path) -> Path:
        """Write one compressed NetCDF file, whole or not at all."""
        from .crowd_file import write_dataset

        return write_dataset(self.dataset, path)

    def write(self, path: str | Path, *, safe: bool = False) -> Path:
        """Write `to_netcdf`'s file (`.nc`), or `to_frame`'s rows (`.csv`, `.csv.gz`, `.parquet`), by the suffix.

        Parameters
        ----------
        path
            The file.
        safe
            Put an apostrophe before texts of a CSV that a spreadsheet would run as formulas.

        Raises
        ------
        DataError
            When the suffix is none of these.
        """
        check_suffix(path, ".nc")
        if str(path).lower().endswith(".nc"):
            return self.to_netcdf(path)
        return write_table(self.to_frame(), path, safe=safe)

    @classmethod
    def open(cls, path: str | Path, *, memory: int | str | None = None, client: Client | None = None) -> Crowd:
        """Read a file that `to_netcdf` wrote, or open a store that `generate(path=...)` wrote, which stays on disk.

        Parameters
        ----------
        path
            The file, or the store's folder.
        memory, client
            Of a store, see `scale.stored.StoredCrowd`.

        Raises
        ------
        DataError
            When there is no such file.
        """
        if Path(path).is_dir():
            from .scale.stored import StoredCrowd

            return StoredCrowd(path, memory=memory, client=client)
        if not Path(path).is_file():
            raise DataError(f"file {str(path)!r} does not exist; check the path.")
        from .crowd_file import read_dataset, refuse_strange

        with refused(f"file {str(path)!r} is no crowd", "give a file that to_netcdf wrote"):
            crowd = cls(read_dataset(Path(path)))
            refuse_strange(crowd.dataset, crowd.scale)
            return crowd
