"""The arithmetic of benchmarks/timing.py, and that the command runs; never what a machine's clock says."""

import json
import pathlib

import pytest


@pytest.fixture
def benchmarks(monkeypatch):
    """The package `benchmarks`, which lies beside gradelib and is not installed."""
    monkeypatch.syspath_prepend(str(pathlib.Path(__file__).parents[2]))
    import benchmarks.__main__
    import benchmarks.timing

    return benchmarks


def test_growth_is_the_exponent_of_a_power_law(benchmarks):
    assert benchmarks.timing.growth([2, 4, 8], [3.0, 12.0, 48.0]) == pytest.approx(2)


def test_candidates_take_turns_and_are_compared_round_by_round(benchmarks, monkeypatch):
    """With a clock of our own: the machine is twice as slow in the second round, and no ratio notices."""
    clock, order = iter([0, 1, 1, 4, 4, 6, 6, 12]), []
    monkeypatch.setattr(benchmarks.timing, "now", lambda: next(clock))
    found = benchmarks.timing.ratios(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2, warm_up=0
    )
    assert order == ["a", "b", "a", "b"]
    assert found["a"].median == 1
    assert (found["b"].median, found["b"].low, found["b"].high) == (3, 3, 3)
    assert found["b"].milliseconds == 4500


def test_the_command_prints_and_writes_its_numbers(benchmarks, monkeypatch, tmp_path, capsys):
    file = tmp_path / "numbers.json"
    monkeypatch.setattr("sys.argv", ["benchmarks", "jacobians", "--rounds", "2", "--json", str(file)])
    monkeypatch.setitem(
        benchmarks.__main__.BENCHMARKS,
        "jacobians",
        lambda rounds: benchmarks.timing.ratios({"one": lambda: sum(range(10_000))}, rounds=rounds),
    )
    monkeypatch.setattr(benchmarks.__main__.BENCHMARKS["jacobians"], "__doc__", "A toy.", raising=False)
    benchmarks.__main__.main()
    assert "jacobians: A toy." in capsys.readouterr().out
    assert json.loads(file.read_text())["jacobians"]["one"]["median"] == 1


def test_an_unknown_benchmark_is_refused(benchmarks, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", "colums"])
    with pytest.raises(SystemExit, match="2"):
        benchmarks.__main__.main()
    assert "there is no benchmark called 'colums'; choose from columns, exact" in capsys.readouterr().err
