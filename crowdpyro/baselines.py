"""Yardsticks: what a crowd must be measured against, the share of every level, `(n_problems, n_levels)`.

Two of them are trivial and strong: the training marginal, and the calibration table P(y | reference). Counts of a
`CrowdData` with survey weights are sums of weights, and the yardsticks made of them are those of the population.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .errors import DataError
from .inference.seeds import generator
from .reference_decisions import majority_codes
from .survey import checked_weights, shares_of_weights
from .theory.eta import tempered

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def uniform(n_problems: int, n_levels: int) -> FloatArray:
    """p_tk = 1 / K: every level alike.

    Parameters
    ----------
    n_problems, n_levels
        The shape of what is returned.

    Returns
    -------
    ndarray
        Shape `(n_problems, n_levels)`.

    Raises
    ------
    DataError
        When `n_levels` is below 1.

    References
    ----------
    The row "Random" of the paper's Tables 1 to 5.
    """
    if n_levels < 1:
        raise DataError(f"n_levels={n_levels}: give the number of levels of the scale.")
    return np.full((n_problems, n_levels), 1.0 / n_levels)


def constant_mode(counts: npt.ArrayLike, n_problems: int) -> FloatArray:
    """p_tk = 1[k = argmax_j sum_s n_sj]: all mass on the level most given in training, the lowest of equals.

    Parameters
    ----------
    counts
        Training answers, shape `(n_training, n_levels)`.
    n_problems
        Number of rows to return.

    Returns
    -------
    ndarray
        Shape `(n_problems, n_levels)`.

    Raises
    ------
    DataError
        When counts are no matrix of numbers of answers, or all zero.
    """
    total = _total(_counts(counts))
    return np.tile(np.eye(len(total))[total.argmax()], (n_problems, 1))


def training_marginal(counts: npt.ArrayLike, n_problems: int) -> FloatArray:
    """p_tk = sum_s n_sk / sum_sj n_sj: the training answers' distribution, whatever the problem.

    Parameters
    ----------
    counts
        Training answers, shape `(n_training, n_levels)`.
    n_problems
        Number of rows to return.

    Returns
    -------
    ndarray
        Shape `(n_problems, n_levels)`.

    Raises
    ------
    DataError
        When counts are no matrix of numbers of answers, or all zero.
    """
    total = _total(_counts(counts))
    return np.tile(total / total.sum(), (n_problems, 1))


def calibration_table(
    train_reference: npt.ArrayLike, train_counts: npt.ArrayLike, test_reference: npt.ArrayLike
) -> FloatArray:
    """p_tk = P(y = k | r_t): training answers pooled by the level r_t of the reference, unsmoothed.

    Parameters
    ----------
    train_reference, test_reference
        Level codes of the LLM's answers to training and test problems, shapes `(n_training,)` and
        `(n_test,)`; NaN where missing, which is a row of the table of its own. `reference_level` makes them
        from probabilities.
    train_counts
        Training answers, shape `(n_training, n_levels)`.

    Returns
    -------
    ndarray
        Shape `(n_test, n_levels)`; a level that no answered training problem had has the training marginal.

    Raises
    ------
    DataError
        For a reference that is no level code, or counts that do not fit.
    """
    answers = _counts(train_counts)
    n_levels = answers.shape[1]
    rows = _table_rows(train_reference, n_levels, "train_reference")
    if len(rows) != len(answers):
        raise DataError(f"train_reference has {len(rows)} problems, train_counts {len(answers)}; give the same.")
    pooled = np.zeros((n_levels + 1, n_levels))
    np.add.at(pooled, rows, answers)
    table = _rows_or_marginal(pooled, _total(answers))
    return table[_table_rows(test_reference, n_levels, "test_reference")]


def independent_histograms(counts: npt.ArrayLike) -> FloatArray:
    """p_tk = n_tk / sum_j n_tj: each problem's own histogram; one never answered has the training marginal.

    Parameters
    ----------
    counts
        Training answers, shape `(n_problems, n_levels)`.

    Returns
    -------
    ndarray
        Shape `(n_problems, n_levels)`.

    Raises
    ------
    DataError
        When counts are no matrix of numbers of answers, or all zero.
    """
    answers = _counts(counts)
    return _rows_or_marginal(answers, _total(answers))


def self_consistency(probabilities: npt.ArrayLike, k: int = 8, temperature: float = 0.5, seed: int = 0) -> FloatArray:
    """Majority of k draws from p^(1/t) / sum p^(1/t), one-hot a problem; ties at random by the seed.

    Parameters
    ----------
    probabilities
        The LLM's option probabilities, shape `(n_problems, n_levels)`; a row of NaN stays NaN.
    k
        Draws a problem.
    temperature
        t; below one it sharpens.
    seed
        Of the draws and the ties.

    Returns
    -------
    ndarray
        Shape `(n_problems, n_levels)`.

    Raises
    ------
    DataError
        When `k` is below 1, the temperature is not positive, or a row is no distribution.

    References
    ----------
    Wang et al. (2023), Self-consistency improves chain of thought reasoning in language models, ICLR.
    """
    if k < 1 or not temperature > 0:
        raise DataError(f"k={k}, temperature={temperature}: give at least one draw and a positive temperature.")
    p = np.asarray(probabilities, dtype=float)
    if p.ndim != 2 or (p < 0).any() or (p.sum(axis=1) == 0).any():
        raise DataError(
            f"probabilities have shape {p.shape}; give (n_problems, n_levels), none negative, no row all 0."
        )
    missing = np.isnan(p).any(axis=1)
    known = p[~missing] / p[~missing].sum(axis=1, keepdims=True)
    chosen = majority_codes(tempered(known, temperature), k, seed)
    result = np.full(p.shape, np.nan)
    result[~missing] = np.eye(p.shape[1])[chosen.astype(int)]
    return result


def resample_people(matrix: npt.ArrayLike, n: int, seed: int = 0, weights: npt.ArrayLike | None = None) -> FloatArray:
    """`n` people drawn with replacement, each with all their answers.

    Parameters
    ----------
    matrix
        Answers, shape `(n_participants, n_problems)`, NaN where absent.
    n
        Number of people to draw.
    seed
        Of the draws.
    weights
        Survey weights: chances of being drawn, up to a factor; None for equal ones.

    Returns
    -------
    ndarray
        Shape `(n, n_problems)`.

    Raises
    ------
    DataError
        When the matrix holds nobody, or `n` is below 1.

    References
    ----------
    B. Efron (1979), Bootstrap methods: another look at the jackknife, Annals of Statistics 7.
    """
    people = np.asarray(matrix, dtype=float)
    if people.ndim != 2 or not len(people):
        raise DataError(f"matrix has shape {people.shape}; give (n_participants, n_problems) with somebody in it.")
    if n < 1:
        raise DataError(f"n={n}: draw at least one person.")
    chance = None if weights is None else shares_of_weights(checked_weights(weights, len(people)))
    rng = generator(seed)
    return people[rng.integers(len(people), size=n) if chance is None else rng.choice(len(people), size=n, p=chance)]


def demographic_regression(
    traits: npt.ArrayLike, codes: npt.ArrayLike, people: npt.ArrayLike, n_levels: int
) -> FloatArray:
    """P(y = k | v) ~ exp(b_k + w_k . v): a multinomial logistic regression of answers on traits, whatever the problem.

    Parameters
    ----------
    traits
        Encoded traits of each training answer's participant, shape `(n_answers, n_columns)`.
    codes
        Level codes of these answers, shape `(n_answers,)`.
    people
        Encoded traits of whom to predict, shape `(n_people, n_columns)`.
    n_levels
        Of the scale; a level that nobody gave has probability 0.

    Returns
    -------
    ndarray
        Shape `(n_people, n_levels)`; its mean over people is what a crowd of them answers to any problem.

    Raises
    ------
    DataError
        When shapes do not match, or codes are none or have gaps.
    """
    from sklearn.linear_model import LogisticRegression

    x, y, asked = np.asarray(traits, dtype=float), np.asarray(codes, dtype=float), np.asarray(people, dtype=float)
    if x.ndim != 2 or y.shape != x.shape[:1] or asked.ndim != 2 or asked.shape[1] != x.shape[1]:
        raise DataError(
            f"traits have shape {x.shape}, codes {y.shape}, people {asked.shape}; give one row of traits an answer, "
            "and the same columns a person."
        )
    given = _table_rows(y, n_levels, "codes")
    shares = np.zeros((len(asked), n_levels))
    if not len(given) or (given == n_levels).any():
        raise DataError("codes are none, or miss some; give the level code of at least one answer, and no NaN.")
    if len(np.unique(given)) == 1:
        shares[:, given[0]] = 1.0
        return shares
    fitted = LogisticRegression(max_iter=1000).fit(x, given)
    shares[:, fitted.classes_] = fitted.predict_proba(asked)
    return shares


def ridge_calibration(
    train_features: npt.ArrayLike, train_counts: npt.ArrayLike, test_features: npt.ArrayLike, floor: float = 0.01
) -> FloatArray:
    """p_t ~ max(B f_t + b, floor): ridge regression of problems' histograms on what LLMs said of them.

    A problem weighs by its answers; the penalty, of 13 from .01 to 10,000, has the least leave-one-out error.

    Parameters
    ----------
    train_features, test_features
        Covariates of the problems, such as option probabilities of several LLMs side by side, shapes `(n_training, d)`
        and `(n_test, d)`.
    train_counts
        Training answers, shape `(n_training, n_levels)`.
    floor
        Least share of a level before shares are made to sum to one: a linear fit may be negative.

    Returns
    -------
    ndarray
        Shape `(n_test, n_levels)`.

    Raises
    ------
    DataError
        When shapes do not match, `floor` is no share, or fewer than two problems have answers.

    References
    ----------
    A. E. Hoerl, R. W. Kennard (1970), Ridge regression: biased estimation for nonorthogonal problems, Technometrics 12.
    """
    from sklearn.linear_model import RidgeCV

    answers = _counts(train_counts)
    train, test = np.asarray(train_features, dtype=float), np.asarray(test_features, dtype=float)
    if train.ndim != 2 or len(train) != len(answers) or test.ndim != 2 or test.shape[1] != train.shape[1]:
        raise DataError(
            f"train_features have shape {train.shape}, test_features {test.shape}, train_counts {answers.shape}; give "
            "one row a problem and the same columns."
        )
    if not 0 < floor < 1 / answers.shape[1]:
        raise DataError(f"floor={floor}: give a share between 0 and 1/{answers.shape[1]}.")
    n = answers.sum(axis=1)
    if (n > 0).sum() < 2:
        raise DataError("train_counts have answers to fewer than two problems; give at least two.")
    asked = n > 0
    shares = answers[asked] / n[asked, None]
    fitted = RidgeCV(np.logspace(-2, 4, 13)).fit(train[asked], shares, sample_weight=n[asked])
    predicted = np.maximum(np.asarray(fitted.predict(test), dtype=float), floor)
    return np.asarray(predicted / predicted.sum(axis=1, keepdims=True))


def reference_level(probabilities: npt.ArrayLike) -> FloatArray:
    """Code of the LLM's likeliest level, the lowest of equals, NaN where none, shape `(n_problems,)`.

    Parameters
    ----------
    probabilities
        Shape `(n_problems, n_levels)`.
    """
    p = np.asarray(probabilities, dtype=float)
    missing = np.isnan(p).any(axis=1)
    return np.where(missing, np.nan, np.where(missing[:, None], 0.0, p).argmax(axis=1))


def _counts(counts: npt.ArrayLike) -> FloatArray:
    """Floats of `counts`; anything that counts no answers raises."""
    answers = np.asarray(counts, dtype=float)
    if answers.ndim != 2:
        raise DataError(f"counts have shape {answers.shape}; give (n_problems, n_levels).")
    wrong = ~((answers >= 0) & np.isfinite(answers)).all(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(f"counts: row {row} is {answers[row].tolist()}; give numbers of answers, 0 for none.")
    return answers


def _total(answers: FloatArray) -> FloatArray:
    """Answers to each level over all problems, shape `(n_levels,)`."""
    total: FloatArray = answers.sum(axis=0)
    if total.sum() == 0:
        raise DataError("counts are all zero; give at least one training answer.")
    return total


def _rows_or_marginal(answers: FloatArray, total: FloatArray) -> FloatArray:
    """Every row as shares, an empty one replaced by the marginal."""
    filled = np.where(answers.sum(axis=1, keepdims=True) > 0, answers, total)
    shares: FloatArray = filled / filled.sum(axis=1, keepdims=True)
    return shares


def _table_rows(reference: npt.ArrayLike, n_levels: int, name: str) -> IntArray:
    """Row of the table for each reference: its code, `n_levels` where it is missing."""
    codes = np.asarray(reference, dtype=float)
    if codes.ndim != 1:
        raise DataError(f"{name} has shape {codes.shape}; give one level code a problem.")
    wrong = (codes < 0) | (codes >= n_levels) | (np.isfinite(codes) & (codes != np.floor(codes)))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{name}: problem {row} has {codes[row]:g}, no level code; give whole numbers from 0 to "
            f"{n_levels - 1}, NaN where the reference is missing."
        )
    return np.where(np.isnan(codes), n_levels, codes).astype(np.int64)
