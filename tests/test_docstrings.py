"""Public docstrings say what their arguments are, and a user's file is type-checked against the installed package."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Arguments that every torch distribution and every subclass has.
USUAL = {"self", "cls", "args", "kwargs", "parts", "settings", "validate_args"}
OURS = {"DataError", "ModelError", "MissingReferenceError"}
# Errors of helpers that cannot come from here, since the function asks them only where they have an answer.
NEVER = {
    "crowdpyro.models.JointModel: story": {"ModelError"},  # a description, of a model with a decoder
    "crowdpyro.models.annotation.AnnotationModel: item_log_likelihood": {"DataError"},  # gold, of a table that has it
}

USER = '''
"""A user's program."""

import pandas as pd

import crowdpyro as cp
from crowdpyro.inference import ParticipantGuide
from crowdpyro.models import Batch, JointModel


class Mine(JointModel):
    def count(self, batch: Batch) -> int:
        return batch.n_answers


def crowd(frame: pd.DataFrame, problems: pd.DataFrame) -> pd.DataFrame:
    scale = cp.Ordinal.range(1, 5)
    data = cp.CrowdData.from_frames(frame, problems, scale=scale)
    model = cp.CrowdLLM(model=Mine, guide=ParticipantGuide, n_eps=2).fit(data, seed=0)
    found: cp.Crowd = model.generate(100, seed=1)
    interval: cp.theory.CrowdInterval = cp.theory.crowd_interval([1.0, 2.0], [1.0, 2.0], [1.5, 2.5])
    reveal_type(interval.low)
    reveal_type(cp.metrics.wasserstein1(found.shares(), found.shares(), scale.values))
    return found.to_frame()


crowd(1, 2)
'''


def public():
    """Objects that docs/api lists: module, name, object."""
    for page in sorted((ROOT / "docs" / "api").glob("*.md")):
        module = ""
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith(".. currentmodule::"):
                module = line.split()[-1]
            elif re.fullmatch(r"   [A-Za-z_]\w*", line):
                yield module, line.strip(), getattr(importlib.import_module(module), line.strip())


def said_of(thing):
    """The docstring; of a class, those of its bases too, for a subclass need not repeat them."""
    if not inspect.isclass(thing):
        return inspect.getdoc(thing) or ""
    return "\n".join(inspect.cleandoc(each.__doc__ or "") for each in thing.__mro__ if "crowdpyro" in each.__module__)


def arguments(thing):
    if not callable(thing):
        return []  # a union of types, such as Scale
    if inspect.isclass(thing) and (issubclass(thing, Exception | Warning) or "__init__" not in vars(thing)):
        return []
    names = inspect.signature(thing).parameters
    return [name for name in names if name not in USUAL and not name.startswith("_")]


def test_every_public_argument_is_described():
    gaps = {}
    for module, name, thing in public():
        text = said_of(thing)
        missing = [each for each in arguments(thing) if not re.search(rf"(?<!\w){each}(?!\w)", text)]
        if not text or missing:
            gaps[f"{module}.{name}"] = missing
    assert gaps == {}


def test_every_public_method_has_a_docstring():
    for module, name, thing in public():
        if inspect.isclass(thing):
            for method, value in vars(thing).items():
                if not method.startswith("_") and (callable(value) or isinstance(value, property | classmethod)):
                    assert inspect.getdoc(getattr(thing, method)), f"{module}.{name}.{method}"


def code_of(function):
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def known_in(function):
    """What names in a function's lines stand for: those of its module, and those that it imports itself."""
    known = dict(function.__globals__)
    for node in ast.walk(code_of(function)):
        if isinstance(node, ast.ImportFrom) and node.level:
            exec(compile(ast.Module([node], []), "imports", "exec"), known)
    return known


def meant(node, known, owner):
    """What a name, or an attribute of a name, stands for; None for anything else."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        of = owner if node.value.id in {"self", "cls"} else known.get(node.value.id)
        found = getattr(of, node.attr, None)
        return getattr(found, "__func__", getattr(found, "fget", getattr(found, "func", found)))
    return None


def raised(function, owner):
    """Errors of ours that a function's own lines raise, or have a function make for them."""
    known, found = known_in(function), set()
    for node in ast.walk(code_of(function)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            made = meant(node.exc.func, known, owner)
            found |= {getattr(made, "__name__", None), getattr(made, "__annotations__", {}).get("return")}
    return found & OURS


def helpers(function, owner):
    """Functions of the package that a function's own lines use, called or read as a property, and whose they are."""
    known = known_in(function)
    for node in ast.walk(code_of(function)):
        found = meant(node.func if isinstance(node, ast.Call) else node, known, owner)
        used = isinstance(node, ast.Call | ast.Attribute) and inspect.isfunction(found)
        if used and found.__module__.startswith("crowdpyro"):
            of_class = not inspect.isfunction(getattr(inspect.getmodule(found), found.__name__, None))
            yield inspect.unwrap(found), owner if of_class else None


def functions_of(thing):
    """A public function itself; of a class, what makes it, and its public methods: name, docstring, code."""
    if inspect.isfunction(thing):
        yield thing.__name__, thing.__doc__, inspect.unwrap(thing)
    elif inspect.isclass(thing):
        for name, value in vars(thing).items():
            code = getattr(value, "__func__", getattr(value, "fget", value))
            made_here = inspect.isfunction(code) and code.__code__.co_filename == inspect.getsourcefile(thing)
            if made_here and (name in {"__init__", "__post_init__"} or not name.startswith("_")):
                yield name, thing.__doc__ if name.startswith("_") else code.__doc__, inspect.unwrap(code)


def errors_of(code, owner):
    """Errors of a function's own lines and, one level down, of the package's functions that they use."""
    found = dict.fromkeys(raised(code, owner), "itself")
    for helper, of in helpers(code, owner):
        found |= dict.fromkeys(raised(helper, of) - found.keys(), helper.__qualname__)
    return found


def test_errors_are_named():
    gaps = {}
    for module, name, thing in public():
        for each, text, code in functions_of(thing):
            owner = thing if inspect.isclass(thing) else None
            where = f"{module}.{name}: {each}"
            found = errors_of(code, owner)
            assert NEVER.get(where, set()) <= found.keys(), where
            missing = found.keys() - NEVER.get(where, set()) - set(re.findall(r"\w+", text or ""))
            if missing:
                gaps[where] = {error: found[error] for error in missing}
    assert gaps == {}


def test_what_is_returned_is_described():
    """A section, or the shape in the first line; nothing more is to be said of nothing, a truth value and a text."""
    gaps = []
    for module, name, thing in public():
        if inspect.isfunction(thing) and thing.__annotations__["return"] not in {"None", "bool", "str"}:
            text = inspect.getdoc(thing)
            shape = re.search(r"`\(.*\)`", text.partition("\n")[0])
            if not re.search(r"^(Returns|Yields)\n-+$", text, re.MULTILINE) and not shape:
                gaps.append(f"{module}.{name}")
    assert gaps == []


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """A folder with the package as it is installed, and a user's file beside it."""
    folder = tmp_path_factory.mktemp("user")
    source = folder / "source"
    source.mkdir()
    for name in ("crowdpyro", "models", "inference", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        str(folder / "installed"),
        str(source),
    ]
    subprocess.run(pip, check=True)
    (folder / "user.py").write_text(USER, encoding="utf-8")
    return folder


def check(said, error, revealed):
    """Two arguments are wrong, two types are known, and nothing else is said of the user's file."""
    lines = [line for line in said.splitlines() if "user.py:" in line]
    assert sum(revealed in line for line in lines) == 2, said
    errors = [line for line in lines if " error: " in line]
    assert len(errors) == 2, said
    assert all(error in line or "cannot be assigned" in line for line in errors), said


@pytest.mark.slow
def test_mypy_sees_the_types_of_the_installed_package(user):
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(user / "cache"), "user.py"]
    # Errors of the package itself count for `make lint`; those of libraries without types, for nobody.
    settings = {"MYPYPATH": str(user / "installed")}
    run = subprocess.run(command, cwd=user, env=settings, capture_output=True, text=True, check=False)
    check(run.stdout, "arg-type", "Revealed type")


@pytest.mark.slow
def test_pyright_sees_the_types_of_the_installed_package(user):
    if importlib.util.find_spec("pyright") is None or shutil.which("node") is None:
        pytest.skip("pyright and node are not both installed")
    environment = Path(sys.prefix)
    settings = {"extraPaths": ["installed"], "venvPath": str(environment.parent), "venv": environment.name}
    (user / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "user.py"]
    run = subprocess.run(command, cwd=user, capture_output=True, text=True, check=False)
    check(run.stdout, "reportArgumentType", "Type of")
