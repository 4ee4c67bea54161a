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
from ..tables import read_table, shown, write_whole

_FILES = ("responses", "problems", "participants", "references")
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
        A file of `References.read`, or a model of `FrozenLLM`; neither for a crowd without an LLM.
    question, personas
        What the LLM is asked, and as whom.
    missing_reference, missing_profile
        Policies of `References.fill` and `CrowdData.read`.
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
    missing_reference: Literal["error", "panel", "mean"] = "error"
    missing_profile: Literal["level", "drop"] = "level"
    seed: int = 0
    device: str = "cpu"
    model: CrowdConfig = field(default_factory=CrowdConfig)

    def __post_init__(self) -> None:
        if self.references is not None and self.llm is not None:
            raise DataError(f"references={str(self.references)!r} and llm={self.llm!r}: give one of them.")
        if self.llm is None and (self.question is not None or self.personas is not None):
            raise DataError("question and personas are put to an LLM; give llm as well, or leave them out.")

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
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        given = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"file {str(path)!r} does not exist; check the path.") from error
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise DataError(f"file {str(path)!r} cannot be read as YAML: {error}") from error
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise DataError(f"file {str(path)!r} holds a {type(given).__name__}; write one `option: value` a line.")
    for name in _FILES:
        if isinstance(given.get(name), str):
            given[name] = str(path.parent / given[name])
    return given


def assigned(pairs: Iterable[str]) -> dict[str, Any]:
    """Options of the form `n_eps=3` or `training.lr=0.005`, as the YAML file would hold them."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    model: dict[str, Any] = {}
    training: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise DataError(f"--set {pair!r}: write NAME=VALUE, such as n_eps=3 or training.lr=0.005.")
        try:
            value = YAML(typ="safe", pure=True).load(text)
        except YAMLError as error:
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
            result[name] = merged(result.get(name) or {}, value)
        elif value is not None:
            result[name] = value
    return result


def _settings(default: Settings, given: object, where: str) -> Settings:
    """A configuration with some of its fields replaced."""
    if not isinstance(given, Mapping):
        raise DataError(f"option {where!r} is {shown(given)}; write `name: value` lines under it.")
    types = get_type_hints(type(default))
    known = [name for name in types if name != "training"]
    _refuse_unknown(given, known, where)
    return replace(default, **{name: _typed(types[name], value, f"{where}.{name}") for name, value in given.items()})


def _refuse_unknown(given: Iterable[Any], known: list[str], where: str) -> None:
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}."
            raise ModelError(f"{where} {shown(name)} is unknown; {hint}")


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
        raise DataError(f"option {name}={shown(value)}: give {names}.")
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
    if not pd.api.types.is_numeric_dtype(answers) and 2 <= len(levels) <= 20:
        return f"write the labels, such as --scale {','.join(map(str, sorted(levels, key=str)))}."
    return "write --scale 1:5 for whole-number ratings, a,b,c for labels, or continuous."


def _texts(value: object, name: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in [*value, *value.values()]):
        raise DataError(f"option {name!r} is {shown(value)}; write `name: description` lines under it.")
    return dict(value)
