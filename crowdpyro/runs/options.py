"""The options of a run, from the command line and from one YAML file.

YAML is read as version 1.2, in which `scale: 1:5` is a text; version 1.1 would read the number 65.
"""

from __future__ import annotations

import difflib
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import pandas as pd

from ..config import CrowdConfig
from ..errors import DataError, ModelError
from ..inference.training import FitConfig
from ..models.ballot import EMPTY, SEPARATOR
from ..outside import DAMAGE
from ..reference_gaps import Policy
from ..survey import PSU, STRATUM, WEIGHT
from ..tables import read_table, shown, write_whole

_FILES = ("responses", "problems", "participants", "references", "cache")
Settings = TypeVar("Settings", CrowdConfig, FitConfig)


@dataclass(frozen=True)
class RunOptions:
    """Everything that decides what a fitted run is.

    Attributes
    ----------
    responses, problems, participants
        Files of `CrowdData.read`; participants None for people of whom nothing is known.
    scale
        As `parse_scale` reads it.
    references, llm
        A file of `References.read`, or an LLM of `open_llm`; neither for a crowd without an LLM.
    question, personas
        What the LLM is asked, and as whom.
    cache
        File of what it was asked before; in the run's folder when None.
    missing_reference, missing_profile
        Policies of `References.fill` and `CrowdData.read`.
    weight, stratum, psu
        Columns of the participants' file that tell how they were sampled; "none" where one of that name is a trait.
    seed, device
        As in `CrowdLLM`.
    model
        Settings of the model and of its training.
    """

    responses: Path
    problems: Path
    scale: str
    participants: Path | None = None
    references: Path | None = None
    llm: str | None = None
    question: str | None = None
    personas: dict[str, str] | None = None
    cache: Path | None = None
    missing_reference: Policy = "error"
    missing_profile: Literal["level", "drop"] = "level"
    weight: str = WEIGHT
    stratum: str = STRATUM
    psu: str = PSU
    seed: int = 0
    device: str = "cpu"
    model: CrowdConfig = field(default_factory=CrowdConfig)

    def __post_init__(self) -> None:
        if self.references is not None and self.llm is not None:
            raise DataError(f"references={str(self.references)!r} and llm={self.llm!r}: give one of them.")
        put = [name for name in ("question", "personas", "cache") if getattr(self, name) is not None]
        if self.llm is None and put:
            raise DataError(f"{put[0]} is of an LLM that is asked; give llm as well, or leave it out.")
        if not 0 <= self.seed < 2**32:
            raise DataError(f"seed={self.seed}: give a whole number from 0 to {2**32 - 1}.")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> RunOptions:
        """Options from names and plain values, checked one by one.

        Parameters
        ----------
        given
            Names of the attributes, `model` being a mapping of `CrowdConfig`'s names, and `training` one of
            `FitConfig`'s.
        """
        given = {name: value for name, value in given.items() if value is not None}
        training = _settings(FitConfig(), given.pop("training", {}), "training")
        given["model"] = replace(_settings(CrowdConfig(), given.pop("model", {}), "model"), training=training)
        known = [each.name for each in fields(cls)]
        _refuse_unknown(given, [*known, "training"], "option")
        for name in ("responses", "problems"):
            if name not in given:
                raise DataError(f"option {name!r} is missing; give it on the command line or in the YAML file.")
        if "scale" not in given:
            raise DataError(f"option 'scale' is missing; {_scale_hint(given['responses'])}")
        types = get_type_hints(cls)
        for name, value in given.items():
            if name in _FILES:
                given[name] = Path(_typed(str, os.fspath(value) if isinstance(value, Path) else value, name))
            elif name == "personas":
                given[name] = _texts(value, name)
            elif name != "model":
                given[name] = _typed(types[name], value, name)
        return cls(**given)

    def write(self, path: Path) -> Path:
        """Write the YAML file that repeats the run, its paths absolute."""
        from ruamel.yaml import YAML

        named = asdict(self)
        model = named.pop("model")
        training = model.pop("training")
        named |= {name: str(Path(named[name]).resolve()) for name in _FILES if named[name] is not None}
        plain = {name: value for name, value in named.items() if value is not None}
        text = io.StringIO()
        text.write("# crowdpyro fit --config THIS_FILE --out FOLDER repeats this run.\n")
        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        yaml.dump(plain | {"model": model, "training": training}, text)
        return write_whole(path, lambda file: file.write_text(text.getvalue(), encoding="utf-8"))


def read_yaml(path: Path) -> dict[str, Any]:
    """Options of a YAML file; relative paths in it start at its folder."""
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        given = _loaded(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"file {str(path)!r} does not exist; check the path.") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise DataError(
            f"file {str(path)!r} cannot be read as YAML: {where}{error.problem}; write one `option: value` a line."
        ) from error
    except (*DAMAGE, YAMLError) as error:
        raise DataError(
            f"file {str(path)!r} cannot be read as YAML: {error}; write one `option: value` a line, as UTF-8 text."
        ) from error
    if given is None:
        return {}
    if not isinstance(given, dict):
        kind = "a list" if isinstance(given, list) else "one text"
        raise DataError(f"file {str(path)!r} holds {kind}; write one `option: value` a line.")
    for name in (*_FILES, "out"):
        if isinstance(given.get(name), str):
            given[name] = str(path.parent / given[name])
    return given


def _loaded(text: str) -> Any:
    """What a YAML text says; raises `ValueError` for an alias, of which a few lines can stand for terabytes."""
    from ruamel.yaml import YAML
    from ruamel.yaml.events import AliasEvent

    if "*" in text and any(isinstance(event, AliasEvent) for event in YAML(typ="safe", pure=True).parse(text)):
        raise ValueError("it has an alias (*name); write the value itself")
    return YAML(typ="safe", pure=True).load(text)


def assigned(pairs: Iterable[str]) -> dict[str, Any]:
    """Options of the form `n_eps=3` or `training.lr=0.005`, as the YAML file would hold them."""
    from ruamel.yaml.error import YAMLError

    model: dict[str, Any] = {}
    training: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = (part.strip() for part in pair.partition("="))
        if not (name and equals and text):
            raise DataError(f"--set {pair!r}: write NAME=VALUE, such as n_eps=3 or training.lr=0.005.")
        try:
            value = _loaded(text)
        except (*DAMAGE, YAMLError) as error:
            raise DataError(f"--set {pair!r}: {text!r} is no value ({error}).") from error
        if name.startswith("training."):
            training[name.removeprefix("training.")] = value
        else:
            model[name.removeprefix("model.")] = value
    return {"model": model, "training": training}


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings, `over` winning; inner mappings are merged likewise, and None is not given."""
    result = dict(under)
    for name, value in over.items():
        if isinstance(value, Mapping):
            below = result.get(name) or {}
            if not isinstance(below, Mapping):
                raise _no_settings(name, below)
            result[name] = merged(below, value)
        elif value is not None:
            result[name] = value
    return result


def _settings(default: Settings, given: object, where: str) -> Settings:
    """A configuration with some of its fields replaced."""
    if not isinstance(given, Mapping):
        raise _no_settings(where, given)
    types = get_type_hints(type(default))
    known = [name for name in types if name != "training"]
    _refuse_unknown(given, known, where)
    return replace(default, **{name: _typed(types[name], value, f"{where}.{name}") for name, value in given.items()})


def _no_settings(name: str, given: object) -> DataError:
    return DataError(f"option {name!r} is {shown(given)}; write `name: value` lines under it.")


def _refuse_unknown(given: Iterable[Any], known: list[str], where: str) -> None:
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, 1)
            hint = _elsewhere(str(name), where)
            if hint is None:
                hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}."
            raise ModelError(f"{where} {shown(name)} is unknown; {hint}")


def _elsewhere(name: str, where: str) -> str | None:
    """Where a name is known that is unknown here: among the settings of the model or the fit, or the options."""
    kinds = {"model": CrowdConfig, "training": FitConfig, "option": RunOptions}
    for place, kind in kinds.items():
        if place != where and name not in ("model", "training") and name in {each.name for each in fields(kind)}:
            if place == "option":
                return f"it is an option of its own: --{name.replace('_', '-')} VALUE, or a line of the YAML file."
            return f"write it under `{place}:`, or --set {place}.{name}=VALUE."
    if where == "option" and name in ("overwrite", "checkpoint_seconds", "config", "set"):
        return f"give it on the command line: --{name.replace('_', '-')}."
    return None


def _typed(kind: Any, value: object, name: str) -> Any:
    """The value when it is of this kind; a whole number will do for a float."""
    if get_origin(kind) is Literal:
        allowed = get_args(kind)
        if value not in allowed:
            raise DataError(f"option {name}={shown(value)}: give one of {', '.join(map(repr, allowed))}.")
        return value
    options = get_args(kind) or (kind,)
    if float in options and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, options) or (isinstance(value, bool) and bool not in options):
        wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
        names = " or ".join(wanted[each] for each in options if each in wanted)
        example = ", such as 1:5 or yes,no" if name == "scale" else ""
        raise DataError(f"option {name}={shown(value)}: give {names}{example}.")
    return value


def _scale_hint(responses: object) -> str:
    """What to write, from a look at the answers."""
    try:
        frame = read_table(str(responses))
        answers = frame.get("response", frame.get("label", pd.Series(dtype=object))).dropna()
    except DataError:
        answers = pd.Series(dtype=object)
    levels = answers.unique()
    if pd.api.types.is_numeric_dtype(answers) and (answers % 1 == 0).all() and len(levels) <= 11:
        return f"the answers are whole numbers from {answers.min():g} to {answers.max():g}: write --scale LOW:HIGH."
    if answers.astype(str).str.contains(SEPARATOR, regex=False).any():
        return f"the answers are ballots: {_ballot_hint(answers.astype(str))}."
    if not pd.api.types.is_numeric_dtype(answers) and 2 <= len(levels) <= 20:
        return f"write the labels, such as --scale {','.join(map(str, sorted(levels, key=str)))}."
    return "write --scale 1:5 for whole-number ratings, a,b,c for labels, continuous, or choose:2:a,b,c for ballots."


def _ballot_hint(answers: pd.Series) -> str:
    """The rule that the ballots seem to follow, with the options that they name."""
    parts = answers.str.split(SEPARATOR)
    named = parts.explode().str.strip()
    points = named.str.contains("=").all()
    options = sorted(set(named.str.rpartition("=")[0] if points else named) - {EMPTY})
    listed = ",".join(options) if len(options) <= 12 else "OPTION,OPTION,..."
    if points:
        return f"write --scale points:N:{listed}, N being how many points a ballot has"
    sizes = parts.map(len).unique()
    if len(sizes) > 1 or EMPTY in set(named):
        return f"write --scale approval:{listed}"
    return f"write --scale choose:{sizes[0]}:{listed}, or rank:{sizes[0]}:... where their order counts"


def _texts(value: object, name: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in [*value, *value.values()]):
        raise DataError(f"option {name!r} is {shown(value)}; write `name: description` lines under it.")
    return dict(value)
