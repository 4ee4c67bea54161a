"""The command line: help without weight, errors without traceback."""

from __future__ import annotations

import getpass
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from crowdpyro import DataError, cli


def test_help_and_version():
    runner = CliRunner()
    assert "demo" in runner.invoke(cli.app, ["--help"]).output
    assert runner.invoke(cli.app, ["--version"]).output.strip() == cli.__version__


def test_the_command_line_loads_nothing_heavy():
    code = (
        "import sys, crowdpyro.cli; "
        "heavy = {'torch', 'pyro', 'transformers', 'pandas', 'numpy', 'sklearn', 'arviz'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_foreseen_error_is_one_line_and_exit_code_two(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["crowdpyro", "study", "offensiveness", "--data", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("DataError: folder")
    assert "Traceback" not in message


@pytest.mark.slow
@pytest.mark.parametrize("split", ["problem", "participant"])
def test_the_study_runs_on_real_people(popquorn_dir, tmp_path, split):
    from crowdpyro.studies import offensiveness

    results = offensiveness.run("gpt4", split, 1, tmp_path, popquorn_dir.parent)
    written = pd.read_csv(tmp_path / "results.csv")
    assert list(written.columns) == ["study", "split", "references", "method", "aggregator", "metric", "seed", "value"]
    assert len(written) == len(results)
    methods = {"crowdllm", "calibration_table", "training_marginal", "uniform", "llm_zero_shot", "vae_without_llm"}
    assert methods <= set(written["method"])
    assert ("independent_histograms" in set(written["method"])) == (split == "participant")
    w1 = written[written["metric"] == "wasserstein1"].set_index("method")["value"]
    assert w1["crowdllm"] < w1["training_marginal"] < w1["uniform"]


@pytest.mark.slow
@pytest.mark.parametrize(("guide", "objective"), [("semi_implicit", "predictive"), ("vae", "paper")])
def test_another_guide_or_objective_is_one_more_row(popquorn_dir, tmp_path, guide, objective):
    from crowdpyro.studies import offensiveness

    results = offensiveness.run("gpt4", "problem", 1, tmp_path, popquorn_dir.parent, guide=guide, objective=objective)
    w1 = results[results["metric"] == "wasserstein1"].set_index("method")["value"]
    assert w1["crowdllm"] < w1["training_marginal"]
    assert w1[f"crowdllm_{objective}_{guide}"] < w1["training_marginal"]


def test_unknown_guides_and_objectives_are_named():
    from crowdpyro import ModelError
    from crowdpyro.studies.offensiveness import variants_of

    assert list(variants_of("vae", "predictive")) == ["crowdllm"]
    with pytest.raises(DataError, match="objective='mse': give 'predictive' or 'paper'"):
        variants_of("vae", "mse")
    with pytest.raises(ModelError, match="guide='flow': give 'vae' or 'semi_implicit'"):
        variants_of("flow", "predictive")


@pytest.mark.parametrize("place", [1, 3, 5])
def test_debug_shows_the_error_itself_wherever_it_stands(monkeypatch, tmp_path, place):
    words = ["crowdpyro", "study", "offensiveness", "--data", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*words[:place], "--debug", *words[place:]])
    with pytest.raises(DataError, match="folder"):
        cli.main()


def test_the_help_of_the_scale_names_ballots():
    output = CliRunner().invoke(cli.app, ["fit", "--help"]).output
    for rule in ("approval:", "choose:2:", "rank:2:", "points:10:"):
        assert rule in output


def test_versions_are_what_a_bug_report_needs_and_nothing_else(monkeypatch):
    monkeypatch.setenv("CROWDPYRO_API_KEY", "key-of-a-server")
    lines = CliRunner().invoke(cli.app, ["versions"]).output.splitlines()
    found = dict(line.split(" ", 1) for line in lines)
    assert found["crowdpyro"] == cli.__version__
    assert found["torch"] == metadata.version("torch")
    assert found["python"] == platform.python_version()
    assert list(found)[-4:] == ["python", "system", "cores", "device"]
    private = {"key-of-a-server", platform.node(), str(Path.home()), getpass.getuser(), str(Path.cwd())}
    assert not [word for word in private if len(word) > 1 and any(word in line for line in lines)]


def test_versions_leave_out_what_is_not_installed(monkeypatch):
    from crowdpyro.versions import versions

    def none(name):
        if name == "zarr":
            raise metadata.PackageNotFoundError
        return "1"

    monkeypatch.setattr(metadata, "version", none)
    found = versions()
    assert "zarr" not in found
    assert found["torch"] == "1"
