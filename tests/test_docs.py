"""What the pages say holds: their code runs, their links lead somewhere, the reference lists what is public."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import typer

from crowdpyro.cli import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "api").glob("*.md")])
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


def listed():
    """Public names by module, as docs/api lists them."""
    found = {}
    for page in sorted((ROOT / "docs" / "api").glob("*.md")):
        module = ""
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith(".. currentmodule::"):
                module = line.split()[-1]
            elif name := re.fullmatch(r"   ([A-Za-z_]\w*)|\.\. py:data:: (\w+)", line):
                found.setdefault(module, []).append(name[1] or name[2])
    return found


def in_all(path):
    """`__all__` of a stub."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return next(ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign))


def modules_of_the_face():
    tree = ast.parse((ROOT / "crowdpyro" / "__init__.pyi").read_text(encoding="utf-8"))
    return {
        each.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module is None
        for each in node.names
    }


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=lambda path: path.name)
def test_links_lead_to_files(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join(
            "".join(each["source"]) for each in json.loads(text)["cells"] if each["cell_type"] == "markdown"
        )
    # On the site, docs/notebooks holds the notebooks.
    targets = [
        each.replace("notebooks/", "../notebooks/") if path.name == "index.md" else each for each in LINK.findall(text)
    ]
    gone = [each for each in targets if "://" not in each and not (path.parent / each).exists()]
    assert gone == []


def test_notebooks_hold_no_output():
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert not any(each.get("outputs") or each.get("execution_count") for each in cells), path.name


def test_every_notebook_has_its_figures_kept():
    kept = json.loads((ROOT / "notebooks" / "figures.json").read_text(encoding="utf-8"))
    assert sorted(kept) == [path.name for path in NOTEBOOKS]


def test_the_reference_lists_all_that_is_public_once():
    found = listed()
    modules = modules_of_the_face()
    face = set(in_all(ROOT / "crowdpyro" / "__init__.pyi")) - modules
    for path in sorted(each for room in ("crowdpyro", "models", "inference") for each in (ROOT / room).rglob("*.pyi")):
        folder = ".".join(path.parent.relative_to(ROOT).parts)
        name = folder if folder.startswith("crowdpyro") else f"crowdpyro.{folder}"
        # What is a name of crowdpyro itself is listed there and nowhere else.
        expected = face if name == "crowdpyro" else set(in_all(path)) - face
        assert sorted(found[name]) == sorted(expected), name
    assert [f"{module}.{name}" for module, names in found.items() for name in set(names) if names.count(name) > 1] == []
    assert {f"crowdpyro.{each}" for each in modules} <= found.keys() | {"crowdpyro.aggregation"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_and_their_options_exist(path):
    for line in re.findall(r"(?:^|`|-m )crowdpyro ([a-z][^`\n]*)", path.read_text(encoding="utf-8"), re.MULTILINE):
        words, command = line.partition("#")[0].split(), typer.main.get_command(app)
        while words and words[0] in getattr(command, "commands", ()):
            command = command.commands[words.pop(0)]
        options = {each for option in command.params for each in (*option.opts, *option.secondary_opts)}
        given = {word.partition("=")[0].rstrip(",.;)") for word in words if word.startswith("--")}
        assert given <= options, line


def test_the_page_of_own_files_runs(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "own_data.md").read_text(encoding="utf-8")
    blocks = re.findall(r"<!-- example: (\S+) -->\n```python\n(.*?)```", page, re.DOTALL)
    assert [name for name, _ in blocks] == ["files", "wide", "crowd", "check", "model", "fit", "aside", "aggregate"]
    assert len(re.findall("```python", page)) == len(blocks)
    monkeypatch.chdir(tmp_path)
    defined = {"__name__": "examples"}
    for name, code in blocks:
        exec(compile(code, f"own_data.md, {name}", "exec"), defined)
    said = capsys.readouterr().out
    usual, own = (float(re.search(rf"^{name} (-\d+\.\d+)$", said, re.MULTILINE)[1]) for name in ("usual", "own"))
    assert own > usual  # by .04 nats an answer on these people
    right, vote = map(float, re.search(r"^right (\S+) by vote (\S+)$", said, re.MULTILINE).groups())
    assert right > vote
    assert (tmp_path / "survey" / "crowd.csv").exists()
