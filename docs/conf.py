"""Sphinx settings: `make docs` writes build/docs."""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
os.environ.setdefault("EAGER_IMPORT", "1")  # lazy_loader: a stub with a name that is nowhere fails here

project = "crowdpyro"
author = "The crowdpyro authors"
copyright = author  # noqa: A001
version = release = importlib.metadata.version("crowdpyro")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_templates"]
templates_path = ["_templates"]
suppress_warnings = [
    "mystnb.unknown_mime_type",
    "myst.header",  # results.md, written by `make bench`, has its tables one level down
    "ref.python",  # `model` in a docstring may be anybody's
]

# Pages are Markdown, notebooks come executed from `make notebooks` where that has run, else without outputs.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
toc_object_entries_show_parents = "hide"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
default_role = "py:obj"  # single backticks: a link where there is something to link to
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of other libraries; their inventories are not on this machine

html_theme = "pydata_sphinx_theme"
html_title = "crowdpyro"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 5,
    "show_prev_next": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages that stand for themselves have no navigation of a section.
html_sidebars = {
    page: [] for page in ("index", "start", "concepts", "theory", "limits", "benchmarks", "changelog", "contributing")
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def copy_notebooks() -> None:
    """Notebooks under docs/notebooks: as executed, where `make notebooks` left them, else as they stand."""
    target = HERE / "notebooks"
    target.mkdir(exist_ok=True)
    for page in target.glob("*.ipynb"):
        page.unlink()
    for source in sorted((ROOT / "notebooks").glob("*.ipynb")):
        executed = ROOT / "build" / "notebooks" / source.name
        newer = executed.exists() and executed.stat().st_mtime > source.stat().st_mtime
        shutil.copy(executed if newer else source, target / source.name)


def public_names() -> dict[str, str]:
    """The path of each name that the reference lists, by how a page may write it."""
    found = {}
    for page in sorted((HERE / "api").glob("*.md")):
        module = ""
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith(".. currentmodule::"):
                module = line.split()[-1]
            elif re.fullmatch(r"   [A-Za-z_]\w*", line):
                name, short = line.strip(), module.removeprefix("crowdpyro").lstrip(".")
                found |= dict.fromkeys((f"{short}.{name}".lstrip("."), f"{module}.{name}"), f"{module}.{name}")
                if module.endswith(".theory") or name[0].isupper():
                    found.setdefault(name, f"{module}.{name}")
    return found


NAMES = public_names()
_CODE = re.compile(r"(^```.*?^```$|^#.*?$)|(?<!`)`([A-Za-z_.]\w*(?:\.\w+)*)`(?!`)", re.MULTILINE | re.DOTALL)


def links_of_the_site(app: Any, name: str, text: list[str]) -> None:
    """Links that are right in the repository, made right on the site; public names become links to the reference."""
    text[0] = text[0].replace("](../notebooks/", "](notebooks/").replace("](../docs/", "](../")
    text[0] = text[0].replace("](docs/", "](").replace("](../benchmarks/results.md)", "](benchmarks.md)")
    if not name.startswith(("api/", "notebooks/", "changelog")):
        text[0] = _CODE.sub(lambda found: found[0] if found[1] else _linked(found[2]), text[0])


def _linked(code: str) -> str:
    whole, _, member = code.rpartition(".")
    if code in NAMES:
        return f"{{py:obj}}`{code} <{NAMES[code]}>`"
    if whole in NAMES:
        return f"{{py:obj}}`{code} <{NAMES[whole]}.{member}>`"
    return f"`{code}`"


_SECTION = re.compile(r"^-{3,}\s*$")
_MARKED = re.compile(r"(`[^`]*`)(?=(\w)?)|\|")


def _escaped(line: str) -> str:
    """A bar outside backticks is an absolute value, no substitution; a letter may follow a backtick."""
    return _MARKED.sub(lambda found: r"\|" if found[1] is None else found[1] + (r"\ " if found[2] else ""), line)


def maths_as_it_stands(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Indented paragraphs before a docstring's first section are formulas and programs: set them as such."""
    end = next((k - 1 for k, line in enumerate(lines) if _SECTION.match(line)), len(lines))
    head = textwrap.dedent("\n".join(lines[:end])).split("\n\n")
    for place, paragraph in enumerate(head):
        rows = paragraph.split("\n")
        prose = not any(row.startswith(("  ", "\t")) for row in rows) or rows[0].lstrip().startswith(
            (">>>", "..", "- ")
        )
        if prose or (place == 0 and len(rows) == 1):
            head[place] = _escaped(paragraph)
        else:
            head[place] = ".. code-block:: none\n\n" + textwrap.indent(paragraph, "    ")
    tail = lines[end:]  # examples stand as they are
    lines[:end] = "\n\n".join(head).split("\n")
    end = len(lines) - len(tail)
    lines[end:] = [line if line.lstrip().startswith((">>>", "...")) else _escaped(line) for line in tail]


def attributes_one_by_one(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Napoleon takes `low, high` under Attributes for a type and a name; an entry each, as it makes of parameters."""
    if "Attributes" not in lines:
        return
    start = lines.index("Attributes") + 2
    end = next((k - 1 for k in range(start, len(lines)) if _SECTION.match(lines[k])), len(lines))
    made = []
    for entry in re.split(r"\n(?=\S)", "\n".join(lines[start:end])):
        names, _, body = entry.partition("\n")
        shared = re.fullmatch(r"\w+(, \w+)+", names)
        made += [f"{each}\n{body}" for each in names.split(", ")] if shared else [entry]
    lines[start:end] = "\n".join(made).split("\n")


_ARRAY = re.compile(
    r"~?numpy\.ndarray\[~?tuple\[(?:~?typing\.)?Any, \.\.\.\], ~?numpy\.dtype\[(?:[^\[\]]|\[[^\[\]]*\])+\]\]"
)


def arrays_in_signatures(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """An array by its one word, not by its parameters; the docstring says shape and unit."""
    signature, returned = (each and _ARRAY.sub("~numpy.ndarray", each) for each in (signature, returned))
    return signature, returned


def arrays_in_fields(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """The same in the types that napoleon adds to attributes."""
    lines[:] = [_ARRAY.sub("~numpy.ndarray", line) for line in lines]


_SOURCE = re.compile(r"\b(19|20)\d\d\b|Theorem|Proposition|Eq\.|[Ss]ection 4")


def source_of_the_module(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """A module's docstring names the paper of all that is in it: each of its pages repeats that paragraph."""
    if what not in ("class", "function") or _SOURCE.search("\n".join(lines)) or "Notes" in lines:
        return
    said = inspect.cleandoc(inspect.getmodule(obj).__doc__ or "").split("\n\n")
    sources = [each for each in said if _SOURCE.search(each) and not re.search(r"^\s", each, re.MULTILINE)]
    if sources:
        text = "\n\n".join(sources).replace("*", r"\*")
        lines += ["", "Notes", "-----", *map(_escaped, text.split("\n"))]


def setup(app: Any) -> None:
    """Register what is above."""
    copy_notebooks()
    app.connect("source-read", links_of_the_site)
    app.connect("autodoc-process-docstring", maths_as_it_stands, priority=100)
    app.connect("autodoc-process-docstring", attributes_one_by_one, priority=150)
    app.connect("autodoc-process-docstring", arrays_in_fields, priority=600)  # after napoleon, at 500
    app.connect("autodoc-process-signature", arrays_in_signatures)
    app.connect("autodoc-process-docstring", source_of_the_module, priority=200)
