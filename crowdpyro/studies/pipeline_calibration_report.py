"""What the calibration shows: coverage where the model is right and where it is wrong, ranks, and who warned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import chi2, fisher_exact

from ..inference.uniformity import uniform_p_value
from .pipeline_calibration_checks import CHECKS
from .pipeline_calibration_world import RIGHT, WRONG
from .verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Coverage may be off by so much, and a p-value up to this warns.
TOLERANCE, ALARM = 0.02, 0.01
# A warning in half of the repeats is one that a user would have met, if it comes more often than false alarms do: by
# Fisher's exact test, at this level for all checks of a world together.
_HEARD, _LEVEL = 0.5, 0.05
_LEVELS = {"coverage_50": 0.5, "coverage_80": 0.8, "coverage_90": 0.9, "coverage_95": 0.95}
_VALID = ("human_only", "rectified", "power_tuned")


def coverage(frame: pd.DataFrame) -> pd.DataFrame:
    """Coverage of every interval.

    Returns
    -------
    DataFrame
        One row a (`world, route, n, interval, nominal`): `coverage` over worlds drawn anew, its standard error `se`,
        the number of `worlds`, and `off`, coverage less nominal.
    """
    rows = frame[frame["metric"].isin(list(_LEVELS)) & frame["method"].isin(["intervals", "cross_fitted"])]
    if rows.empty:
        return pd.DataFrame(columns=["world", "route", "n", "interval", "nominal", "coverage", "se", "worlds", "off"])
    parted = rows["aggregator"].str.rpartition("-")
    rows = rows.assign(interval=parted[0], n=parted[2].astype(int), nominal=rows["metric"].map(_LEVELS))
    keys = ["protocol", "method", "n", "interval", "nominal"]
    found = rows.groupby(keys, sort=False)["value"].agg(["mean", "std", "size"]).reset_index()
    found = found.rename(columns={"protocol": "world", "method": "route", "mean": "coverage", "size": "worlds"})
    found["se"] = found.pop("std") / np.sqrt(found["worlds"])
    return found.assign(off=found["coverage"] - found["nominal"])


def ranks(frame: pd.DataFrame) -> pd.DataFrame:
    """Uniformity of ranks, one row a (`world, quantity`): number of `ranks` and `p_value`."""
    rows = frame[frame["metric"] == "ranks"]
    if rows.empty:
        return pd.DataFrame(columns=["world", "quantity", "ranks", "p_value"])
    parted = rows["aggregator"].str.rpartition(".")
    named = parted[0].str.partition(".")
    rows = rows.assign(of=named[0], quantity=named[2], bin=parted[2].astype(int))
    found = []
    for (world, of, quantity), part in rows.groupby(["protocol", "of", "quantity"], sort=False):
        counts = part.groupby("bin")["value"].sum().sort_index().to_numpy()
        route = "known parameters" if of == "eps" else "random parameters"
        row = {"world": world, "given": route, "quantity": quantity, "ranks": int(counts.sum())}
        found.append(row | {"p_value": uniform_p_value(counts.astype(int))})
    return pd.DataFrame(found)


def broken(frame: pd.DataFrame) -> pd.DataFrame:
    """What each world does to the results, and which checks say so.

    Returns
    -------
    DataFrame
        One row a world: error of the crowd's means, of the small group's, correlation errors of crowd and sample,
        coverage of the rectified .95 interval with 50 and 200 people, and of each check the share of repeats in which
        it warned.
    """
    rows = frame[frame["method"] == "checks"]
    covered = coverage(frame)
    found = {}
    for world in (*RIGHT, *WRONG):
        mine = rows[rows["protocol"] == world]
        if mine.empty:
            continue
        row: dict[str, float] = {"repeats": mine["seed"].nunique()}
        for name, metric, aggregator in (
            ("error of means", "mean_error", ""),
            ("of the small group", "mean_error", "group_c"),
            ("corr. error", "correlation_error", ""),
            ("of the sample", "sample_correlation_error", ""),
        ):
            row[name] = mine.loc[(mine["metric"] == metric) & (mine["aggregator"] == aggregator), "value"].mean()
        for n in (50, 200):
            at = (covered["world"] == world) & (covered["route"] == "intervals") & (covered["n"] == n)
            some = covered[at & (covered["interval"] == "rectified") & (covered["nominal"] == 0.95)]
            row[f"covers .95, n = {n}"] = some["coverage"].mean()
        p_values = mine[mine["metric"] == "p_value"]
        for check in CHECKS:
            each = p_values.loc[p_values["aggregator"] == check, "value"]
            row[check] = float((each <= ALARM).mean()) if len(each) else np.nan
        found[world] = row
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("world")


def warned(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Checks that tell a wrong world, by world: they warn in half of its repeats, and more often than falsely."""
    p_values = frame[(frame["method"] == "checks") & (frame["metric"] == "p_value") & frame["aggregator"].isin(CHECKS)]
    right = p_values["protocol"].isin(RIGHT)

    def alarms(rows: pd.Series, check: str) -> npt.NDArray[np.bool_]:
        return np.asarray(p_values.loc[rows & (p_values["aggregator"] == check), "value"] <= ALARM)

    return {
        world: [check for check in CHECKS if _tells(alarms(p_values["protocol"] == world, check), alarms(right, check))]
        for world in WRONG
        if (p_values["protocol"] == world).any()
    }


def _tells(here: npt.NDArray[np.bool_], falsely: npt.NDArray[np.bool_]) -> bool:
    """Whether a check warned in half of the repeats, and significantly more often than where the model is right."""
    if not len(here) or here.mean() < _HEARD:
        return False
    table = np.array([[each.sum(), (~each).sum()] for each in (here, falsely)])
    return float(fisher_exact(table, alternative="greater")[1]) <= _LEVEL / len(CHECKS)


def tables(frame: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Coverage, where it is off, ranks, and what the checks say."""
    found = []
    covered = coverage(frame)
    if len(covered):
        right, valid = covered["world"].isin(RIGHT), covered["interval"].isin(_VALID)
        shown = covered[right & valid]
        if len(shown):
            keys = ["world", "route", "n", "interval"]
            wide = shown.pivot_table(index=keys, columns="nominal", values="coverage", sort=False)
            worst = shown.iloc[int(shown["off"].abs().to_numpy().argmax())]
            sentence = (
                f"The model is right. Farthest off: {worst['interval']} in {worst['world']}, n = {worst['n']}, "
                f"{worst['coverage']:.3f} of {worst['nominal']:g} (se {worst['se']:.3f})."
            )
            found.append(("Coverage where the model is right", sentence, wide.round(3).reset_index()))
        off = covered[valid & (covered["off"].abs() > TOLERANCE)]
        sentence = f"Every valid interval that is off by more than {TOLERANCE}, right worlds first."
        order = off.assign(wrong=~off["world"].isin(RIGHT)).sort_values(["wrong", "off"]).drop(columns="wrong")
        found.append(("Coverage that is off", sentence, order.round(3)))
        printed = covered[~valid & (covered["nominal"] == 0.95) & right]
        if len(printed):
            wide = printed.pivot_table(index=["world", "route", "n"], columns="interval", values="coverage", sort=False)
            found.append(("Printed and union bounds at .95", "They hold, and are wide.", wide.round(3).reset_index()))
    uniform = ranks(frame)
    if len(uniform):
        found.append(("Simulation-based calibration", "P-values of uniform ranks.", uniform.round(3)))
    table = broken(frame)
    if len(table):
        sentence = (
            f"Errors in points of the scale; of each check, the share of repeats with a p-value of {ALARM} or less. In "
            "the first worlds the model is right, and warnings are false alarms."
        )
        found.append(("What breaks, and who says so", sentence, table.round(3).reset_index()))
    return found


def figures(frame: pd.DataFrame) -> list[tuple[str, str, Figure]]:
    """Coverage less nominal in the right worlds, and warnings by world and check."""
    found = []
    covered = coverage(frame)
    some = covered[covered["world"].isin(RIGHT) & (covered["interval"] == "rectified")]
    if len(some):
        sentence = "Coverage of the rectified interval less nominal, with two standard errors; the band is .02."
        found.append(("Coverage", sentence, _coverage_figure(some)))
    table = broken(frame)
    if len(table):
        sentence = f"Share of repeats in which each check warned (p of {ALARM} or less)."
        found.append(("Who warns", sentence, _warning_figure(table)))
    return found


def _coverage_figure(some: pd.DataFrame) -> Figure:
    from matplotlib.figure import Figure

    worlds = list(some["world"].unique())
    figure = Figure(figsize=(3.1 * len(worlds) + 0.6, 3.2), layout="constrained")
    panels = figure.subplots(1, len(worlds), sharey=True, squeeze=False)[0]
    colours = ("#9ecae1", "#4f9fd6", "#1f6fb4", "#d95f02")
    for axes, world in zip(panels, worlds, strict=True):
        axes.axhspan(-TOLERANCE, TOLERANCE, color="#808080", alpha=0.2, linewidth=0)
        axes.axhline(0, color="#808080", linewidth=0.8)
        parts = list(some[some["world"] == world].groupby(["route", "n"]))
        for place, ((route, n), part) in enumerate(parts):
            x = np.arange(len(part)) + 0.14 * (place - (len(parts) - 1) / 2)
            label = f"n = {n}" if route == "intervals" else f"cross-fitted, n = {n}"
            colour = colours[-1] if route == "cross_fitted" else colours[place % 3]
            reach = 2 * part["se"].fillna(0)
            axes.errorbar(x, part["off"], yerr=reach, fmt="o", markersize=4, color=colour, label=label)
        axes.set_xticks(range(len(_LEVELS)), [f"{level:g}" for level in _LEVELS.values()])
        axes.set_title(world, fontsize=10)
        axes.set_xlabel("nominal")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("coverage less nominal")
    handles = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles[label] = handle
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=4, frameon=False)
    return figure


def _warning_figure(table: pd.DataFrame) -> Figure:
    from matplotlib.figure import Figure

    shares = table[list(CHECKS)]
    figure = Figure(figsize=(7.4, 0.42 * len(shares) + 1.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.nan_to_num(shares.to_numpy()), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, values in enumerate(shares.to_numpy()):
        for column, value in enumerate(values):
            text = "" if np.isnan(value) else f"{value:.2f}"
            ink = "white" if value > 0.5 else "#222222"
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=9)
    names = [name.replace("_", " ") for name in shares.columns]
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    marks = ["" if world in WRONG else ", right" for world in shares.index]
    axes.set_yticks(range(len(shares)), [f"{w.replace('_', ' ')}{m}" for w, m in zip(shares.index, marks, strict=True)])
    axes.spines[:].set_visible(False)
    return figure


def verdict(frame: pd.DataFrame) -> Verdict:
    """Trust where coverage holds in every right cell and every wrong world is told."""
    covered = coverage(frame)
    right = covered[covered["world"].isin(RIGHT) & (covered["interval"] == "rectified")]
    # Off for sure: past the tolerance by two standard errors.
    bad = right[(right["off"].abs() - 2 * right["se"].fillna(0)) > TOLERANCE]
    told = warned(frame)
    silent = [world for world, checks in told.items() if not checks]
    alarms = broken(frame)
    sentences = [
        f"{world}: {', '.join(f'{check} ({alarms[check][world]:.2f} of repeats)' for check in checks) or 'no check'} "
        "warned in half of the repeats or more, and more often than where the model is right."
        for world, checks in told.items()
    ]
    false = alarms.loc[alarms.index.isin(RIGHT), list(CHECKS)].max() if len(alarms) else pd.Series(dtype=float)
    if false.notna().any():
        sentences.append(
            f"Where the model is right, {false.idxmax()} warned most often, in {false.max():.2f} of the repeats of a "
            f"world at p of {ALARM} or less: a fit to few people is not the model."
        )
    uniform = ranks(frame)
    if len(uniform):
        fisher = chi2.sf(-2 * np.log(uniform["p_value"].clip(lower=1e-300)).sum(), 2 * len(uniform))
        least = uniform["p_value"].min()
        sentences.append(f"Ranks of {len(uniform)} quantities: smallest p {least:.3f}, all {fisher:.3f} (Fisher).")
    winner = (
        f"The rectified interval is within {TOLERANCE} of nominal in {int((right['off'].abs() <= TOLERANCE).sum())} of "
        f"{len(right)} right cells, and off by more than two standard errors beyond that in {len(bad)}; "
        f"{len(told) - len(silent)} of {len(told)} wrong worlds are told by a check."
    )
    sentences.append(
        f"The rule: trust where no right cell is off by more than {TOLERANCE} and two standard errors, and a check "
        "tells every wrong world; correct first where this is not so, or cells or worlds are missing."
    )
    whole = set(right["world"]) == set(RIGHT) and set(told) == set(WRONG) and right["worlds"].min() > 1
    trusted = whole and not len(bad) and not silent
    return Verdict("trust" if trusted else "correct first", winner, tuple(sentences))
