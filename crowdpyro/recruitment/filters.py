"""Who qualifies: an expression over columns that can do nothing but compare.

age >= 60 and gender == 'woman' and district in ['West', 'North'] and not `years here` < 2

Names are columns, in backticks where they have blanks; what they are compared with are numbers, texts, and lists of
them. There is no call, attribute, index or arithmetic, so that an expression from a file or a form is safe to read;
`pandas.DataFrame.query` takes attributes and local variables too. A gap meets no comparison.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..models.off_scale import label_text
from ..tables import close_match, shown

BoolArray = npt.NDArray[np.bool_]

_LONGEST, _DEEPEST = 10_000, 50
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`([^`]*)`")
_ORDERS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_EXAMPLE = "age >= 60 and gender in ['woman', 'man']"


@dataclass(frozen=True)
class _Column:
    """A column in a comparison: numbers, or texts with the order of their levels where they have one."""

    name: str
    values: npt.NDArray[Any]
    gaps: BoolArray
    numeric: bool
    order: tuple[str, ...] = ()


class Filter:
    """An expression, read once and checked, for any frame.

    Parameters
    ----------
    expression
        Comparisons joined by `and`, `or` and `not`.

    Raises
    ------
    DataError
        For anything else, naming the part.
    """

    def __init__(self, expression: str) -> None:
        if not isinstance(expression, str):
            raise DataError(f"the filter is {shown(expression)}; write a text, as {_EXAMPLE!r}.")
        self.expression = expression
        self._columns: dict[str, str] = {}
        if len(expression) > _LONGEST:
            raise DataError(f"the filter has {len(expression):,} characters; write at most {_LONGEST:,}.")
        try:
            self._tree: ast.expr = ast.parse(_QUOTED.sub(self._plain, expression).strip(), mode="eval").body
            self._check(self._tree)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"filter {expression!r} cannot be read ({error}); write it as {_EXAMPLE!r}.") from error

    def mask(self, frame: pd.DataFrame) -> BoolArray:
        """Who meets it, shape `(len(frame),)`.

        Raises
        ------
        DataError
            When a column is missing, or cannot be compared so.
        """
        return self._truth(self._tree, frame)

    def only(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Those who meet it; raises `DataError` when nobody does, saying how many meet each part."""
        met = self.mask(frame)
        if not met.any():
            parts = self.parts()
            alone = "; ".join(f"{part.expression} by {int(part.mask(frame).sum())}" for part in parts[:6])
            told = f"; alone are met: {alone}" if len(parts) > 1 else ""
            raise DataError(f"filter {self.expression!r}: no profile of {len(frame)} meets it{told}. Loosen it.")
        return frame[met]

    def parts(self) -> list[Filter]:
        """What it joins by `and`."""
        joined = isinstance(self._tree, ast.BoolOp) and isinstance(self._tree.op, ast.And)
        return [Filter(self._written(each)) for each in self._tree.values] if joined else [self]  # type: ignore[attr-defined]

    @property
    def columns(self) -> list[str]:
        """Columns that it names."""
        names = (each.id for each in ast.walk(self._tree) if isinstance(each, ast.Name))
        return list(dict.fromkeys(self._columns.get(name, name) for name in names))

    # -- reading -----------------------------------------------------------------------------------------------

    def _plain(self, found: re.Match[str]) -> str:
        """A column in backticks as an identifier; texts stay."""
        if found[1] is None:
            return found[0]
        name = f"_column_{len(self._columns)}_"
        self._columns[name] = found[1]
        return name

    def _written(self, node: ast.expr) -> str:
        text = ast.unparse(node)
        for name, column in self._columns.items():
            text = text.replace(name, f"`{column}`")
        return text

    def _check(self, node: ast.expr, depth: int = 0) -> None:
        """Raise `DataError` for what is no comparison."""
        if depth > _DEEPEST:
            raise DataError(f"the filter nests deeper than {_DEEPEST}; write it flatter.")
        if isinstance(node, ast.BoolOp):
            for each in node.values:
                self._check(each, depth + 1)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self._check(node.operand, depth + 1)
        elif isinstance(node, ast.Compare):
            self._check_operand(node.left)
            for operation, right in zip(node.ops, node.comparators, strict=True):
                if isinstance(operation, ast.Is | ast.IsNot):
                    raise self._refused(node)
                self._check_operand(right, lists=isinstance(operation, ast.In | ast.NotIn))
        elif not isinstance(node, ast.Name):
            raise self._refused(node)

    def _check_operand(self, node: ast.expr, *, lists: bool = False) -> None:
        if lists:
            if not isinstance(node, ast.List | ast.Tuple | ast.Set) or not node.elts:
                raise DataError(f"filter {self.expression!r}: write a list after `in`, such as ['a', 'b'].")
            for each in node.elts:
                if not isinstance(_constant(each), int | float | str):
                    raise self._refused(each)
        elif not isinstance(node, ast.Name) and not isinstance(_constant(node), int | float | str):
            raise self._refused(node)

    def _refused(self, node: ast.AST) -> DataError:
        part = self._written(node) if isinstance(node, ast.expr) else type(node).__name__
        return DataError(
            f"filter {self.expression!r}: {part!r} is no comparison of a column with numbers or texts; join such by "
            f"`and`, `or` and `not`: {_EXAMPLE!r}."
        )

    # -- meaning -----------------------------------------------------------------------------------------------

    def _truth(self, node: ast.expr, frame: pd.DataFrame) -> BoolArray:
        if isinstance(node, ast.BoolOp):
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            met: BoolArray = join.reduce([self._truth(each, frame) for each in node.values])
            return met
        if isinstance(node, ast.UnaryOp):
            return ~self._truth(node.operand, frame)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            pairs = zip(node.ops, sides, sides[1:], strict=False)
            return np.asarray(np.logical_and.reduce([self._compared(*pair, frame) for pair in pairs]))
        column = self._column(node, frame)
        values = pd.Series(column.values[~column.gaps])
        if not values.isin([True, False, "True", "False"]).all():
            raise DataError(
                f"filter {self.expression!r}: column {column.name!r} alone is no comparison; write what it shall be, "
                f"such as {column.name} == {shown(values.iloc[0])}."
            )
        return ~column.gaps & (pd.Series(column.values).map(str).isin(["True", "1", "1.0"])).to_numpy()

    def _compared(self, operation: ast.cmpop, left: ast.expr, right: ast.expr, frame: pd.DataFrame) -> BoolArray:
        if isinstance(operation, ast.In | ast.NotIn):
            column = self._column(left, frame)
            wanted = [_constant(each) for each in right.elts]  # type: ignore[attr-defined]
            met = np.isin(column.values, [self._like(column, each) for each in wanted]) & ~column.gaps
            return ~met & ~column.gaps if isinstance(operation, ast.NotIn) else met
        one, other, gaps = self._alike(left, right, frame)
        if isinstance(operation, ast.Eq | ast.NotEq):
            return np.asarray(((one == other) if isinstance(operation, ast.Eq) else (one != other)) & ~gaps)
        return np.broadcast_to(_ORDERS[type(operation)](one, other), gaps.shape) & ~gaps

    def _alike(self, left: ast.expr, right: ast.expr, frame: pd.DataFrame) -> tuple[Any, Any, BoolArray]:
        """Both sides as numbers or as texts, and where either has a gap."""
        sides = [self._column(each, frame) if isinstance(each, ast.Name) else _constant(each) for each in (left, right)]
        columns = [each for each in sides if isinstance(each, _Column)]
        if not columns:
            raise DataError(f"filter {self.expression!r}: {self._written(left)} is compared with no column.")
        first = columns[0]
        if any(each.numeric != first.numeric or each.order != first.order for each in columns):
            raise DataError(f"filter {self.expression!r}: {first.name!r} and {columns[1].name!r} are of two kinds.")
        ranked = bool(first.order)
        values = [
            each.values if isinstance(each, _Column) else self._like(first, each, ranked=ranked) for each in sides
        ]
        if ranked:
            rank = {level: place for place, level in enumerate(first.order)}
            values = [
                pd.Series(each).map(rank).to_numpy(dtype=float) if isinstance(each, np.ndarray) else rank[each]
                for each in values
            ]
        gaps: BoolArray = np.logical_or.reduce([each.gaps for each in columns])
        return values[0], values[1], gaps

    def _like(self, column: _Column, value: Any, *, ranked: bool = False) -> Any:
        """A constant as a column's values are."""
        if column.numeric:
            if isinstance(value, str):
                raise DataError(
                    f"filter {self.expression!r}: column {column.name!r} holds numbers, {value!r} is a text; leave "
                    "off the quotation marks."
                )
            return float(value)
        text = label_text(value)
        if ranked and text not in column.order:
            raise DataError(
                f"filter {self.expression!r}: {text!r} is no level of {column.name!r}: {', '.join(column.order)}."
            )
        return text

    def _column(self, node: ast.expr, frame: pd.DataFrame) -> _Column:
        if not isinstance(node, ast.Name):
            raise self._refused(node)
        name = self._columns.get(node.id, node.id)
        by_name = {str(label): label for label in frame.columns}
        if name not in by_name:
            close = close_match(name, by_name)
            hint = f"did you mean {close!r}?" if close else f"known are {', '.join(list(by_name)[:12])}."
            quoted = " A text stands in quotation marks." if close is None else ""
            raise DataError(f"filter {self.expression!r}: there is no column {name!r}; {hint}{quoted}")
        series = frame[by_name[name]]
        gaps = series.isna().to_numpy()
        if pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series):
            return _Column(name, series.to_numpy(dtype=float, na_value=np.nan), gaps, numeric=True)
        order: tuple[str, ...] = ()
        if isinstance(series.dtype, pd.CategoricalDtype) and series.dtype.ordered:
            order = tuple(map(label_text, series.dtype.categories))
        text = series.astype(object).map(label_text).to_numpy(dtype=object)
        return _Column(name, text, gaps, numeric=False, order=order)


def _constant(node: ast.expr) -> Any:
    """A number or text as written, a negative number too; None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _constant(node.operand)
        return -value if isinstance(value, int | float) else None
    return node.value if isinstance(node, ast.Constant) else None
