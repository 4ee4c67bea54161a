"""The commands `study NAME` and `report`."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from crowdpyro import DataError, cli
from crowdpyro.commands import study as commands
from crowdpyro.studies.names import STUDIES


@pytest.fixture
def command(simulated, monkeypatch):
    """`crowdpyro study simulated`, while the test lasts."""
    monkeypatch.setitem(STUDIES, "simulated", "a study whose truth is known")
    monkeypatch.setitem(sys.modules, "crowdpyro.studies.simulated", sys.modules["simulated"])
    monkeypatch.setattr(commands.app, "registered_commands", list(commands.app.registered_commands))
    commands._register("simulated", "a study whose truth is known")
    return lambda *words: CliRunner().invoke(cli.app, ["study", "simulated", *words])


def test_a_study_is_run_shown_reported_and_gone_on_with(command, tmp_path):
    words = ("--quick", "--jobs", "1", "--out", str(tmp_path))
    done = command(*words)
    assert done.exit_code == 0, done.output
    assert "5 cells done, 0 were there" in done.output
    assert "verdict: correct first" in done.output
    assert "crowd, gpt4" in done.output
    first = (tmp_path / "simulated" / "report.html").read_bytes()
    again = command(*words)
    assert "0 cells done, 5 were there" in again.output
    assert (tmp_path / "simulated" / "report.html").read_bytes() == first
    more = command("--split", "problem", "--references", "llama", "--methods", "crowd", "--methods", "table",
                   "--seeds", "2", "--jobs", "1", "--out", str(tmp_path))  # fmt: skip
    assert "4 cells done, 0 were there" in more.output
    whole = CliRunner().invoke(cli.app, ["report", str(tmp_path), "--out", str(tmp_path / "all.html")])
    assert whole.exit_code == 0, whole.output
    assert "Simulated answers" in (tmp_path / "all.html").read_text(encoding="utf-8")


def test_a_failed_cell_is_named_and_the_exit_code_says_so(command, tmp_path, monkeypatch):
    monkeypatch.setenv("SIMULATED_RAISES", "table-0")
    done = command("--quick", "--jobs", "1", "--out", str(tmp_path))
    assert done.exit_code == 1
    assert "failed: simulated, problem, gpt4, table, seed 0: ValueError: no <answer> came" in done.stderr
    text = (tmp_path / "simulated" / "report.html").read_text(encoding="utf-8")
    assert "1 cell failed" in text
    assert "no &lt;answer&gt; came" in text


def test_a_study_of_which_every_cell_fails_has_no_tables(command, tmp_path, monkeypatch):
    monkeypatch.setenv("SIMULATED_RAISES", "table-0")
    done = command("--quick", "--methods", "table", "--jobs", "1", "--out", str(tmp_path))
    assert done.exit_code == 1
    assert not (tmp_path / "simulated" / "report.html").exists()


def test_what_a_short_run_does_not_take_is_refused():
    words = [
        "study",
        "offensiveness",
        "--guide",
        "semi_implicit",
        "--quick",
        "--protocol",
        "all",
        "--protocol",
        "problem",
    ]
    refused = CliRunner().invoke(cli.app, words)
    assert isinstance(refused.exception, DataError)
    assert str(refused.exception).startswith("--quick, --protocol: with --guide or --objective")


def test_what_is_unknown_is_one_line_and_exit_code_two(command, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["crowdpyro", "study", "simulated", "--methods", "tabel", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "Did you mean 'table'?" in capsys.readouterr().err
