"""What the pages say of recorded experiments: below a result, and in the list of all."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from small_book import FRONT, NOTEBOOKS, build, page, write_configuration

from book.extensions.evidence import answers, recorded
from book.extensions.evidence import experiments as recorded_pages
from book.extensions.evidence.domain import EvidenceDomain
from book.extensions.pdf import make
from gradelib import experiments
from gradelib.experiments import digits_samples, images_64
from gradelib.experiments.mnist_objectives import STEPS
from gradelib.training import OBJECTIVES

ORIGIN = {"device": "CPU, x86_64", "seconds": 3600.0, "cpu_seconds": 1800.0, "date": "2026-01-02"}


def row(numbers: dict[str, float], provenance: dict[str, Any] | None = None, **job: Any) -> dict[str, Any]:
    return {
        "state": "done",
        "job": {"control": "core", "steps": STEPS, "beta": 0.4, "seed": 0, **job},
        "numbers": numbers,
        "provenance": {**ORIGIN, **(provenance or {})},
    }


def found(name: str, rows: list[dict[str, Any]], table: list[dict[str, Any]] | None = None) -> Any:
    """An experiment with these rows."""
    keys = map(str, range(len(rows)))
    lines = [{"seeds": 1}] if table is None else table
    return SimpleNamespace(
        name=name, question="Is it so?", rows=dict(zip(keys, rows, strict=True)), table=lines, missing=[], stale=None
    )


# --- one sentence for each


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (-0.0213, 0.0042, "−0.0213 ± 0.0042"),
        (0.5, 0.2, "+0.50 ± 0.20"),
        (0.5, None, "+0.50 (one seed)"),
        (1.0, 0.0, "+1.00 ± 0.00"),
        (-0.001, None, "0.00 (one seed)"),
        (1.0, 1e-9, "+1.0000 ± 0.0000"),
    ],
)
def test_an_effect_has_its_sign_and_its_error(value, error, said):
    assert answers.effect(value, error) == said


@pytest.mark.parametrize("name", experiments.NAMES)
def test_each_experiment_has_an_answer_or_no_rows(name):
    there = experiments.load(name)
    said = answers.answer(there)
    assert bool(said) == bool(there.table)
    assert said.count(". ") == 0


def test_the_difference_of_the_objectives_has_its_share():
    line = {"objective": "grae_column", "activation": "softplus", "beta": 0.4, "loss": 9.0}
    lines = [{**line, "difference": -1.0, "difference_error": 0.5}, {**line, "objective": "grae", "difference": 5.0}]
    assert answers.answer(found("mnist-objectives", [], lines)).endswith("nats: −1.00 ± 0.50 (−10.0 %) at β = 0.4.")
    lines[0] |= {"adam_difference": 0.5, "adam_difference_error": 0.25}
    said = answers.answer(found("mnist-objectives", [], lines))
    assert said.endswith("(−10.0 %) at β = 0.4; with Adam in the place of Muon +0.50 ± 0.25 at β = 0.4.")


def test_what_blocks_owe_has_an_error_between_the_seeds():
    line = {"beta": 0.4, "latents": 8, "block": 2, "seeds": 4, "rotated_nats_between_blocks": 1.0}
    line |= {"model": "block", "nats_between_blocks": 0.5, "nats_between_blocks_deviation": 0.2}
    assert "0.50 ± 0.10 with blocks, 1.00 with blocks and its" in answers.answer(found("mnist-blocks", [], [line]))


def test_samples_are_compared_from_one_start_beside_other_noise():
    rows = [
        row({"distance_grae_prior": 3.0 + seed, "distance_beta_vae_prior": 5.0, "distance_noise_prior": 6.0}, seed=seed)
        for seed in range(2)
    ]
    rows.append(row({"distance_grae_prior": 99.0, "distance_beta_vae_prior": 5.0}, steps=2 * STEPS))
    said = answers.answer(found("mnist-samples", rows))
    assert said.endswith(": −1.50 ± 0.50 at β = 0.4 where the β-VAE with other noise has +1.00 ± 0.00.")


def test_small_samples_are_compared_beside_other_noise_soon_and_late():
    soon, late = digits_samples.STEPS, digits_samples.LONGER[-1]
    rows = [
        row({"unlike_grae": 0.5 + seed, "unlike_noise": 0.25 + 0.5 * seed}, seed=seed, steps=soon) for seed in range(2)
    ]
    rows.append(row({"unlike_grae": 0.25, "unlike_noise": 0.5}, steps=late))
    said = answers.answer(found("digits-samples", rows))
    assert "after 300 steps +0.50 ± 0.25 at β = 0.4; after 4,800 steps −0.25 (one seed) at β = 0.4." in said


def test_the_loss_is_compared_by_the_formula_and_with_fits():
    line = {"data": "mnist", "activation": "softplus", "optimiser": "muon", "beta": 0.4, "steps": STEPS}
    line |= {"difference_formula": 0.5, "difference_formula_error": 0.05}
    line |= {"difference_fitted": -0.1, "difference_fitted_error": 0.02}
    line |= {"difference_codes": 0.25, "difference_codes_error": None}
    said = answers.answer(found("fitted-variances", [], [line, line | {"steps": 1500}, line | {"optimiser": "adam"}]))
    assert said.endswith("fitted codes, too: +0.500 ± 0.050, −0.100 ± 0.020, +0.25 (one seed) on MNIST at β = 0.4.")


def test_large_pictures_are_compared_beside_other_noise():
    losses = {"loss_grae": 3.0, "loss_beta_vae": 5.0, "loss_noise": 5.5}
    rows = [row(losses, seed=seed, steps=images_64.STEPS) for seed in range(2)]
    said = answers.answer(found("images-64", rows))
    assert said.endswith("in nats: −2.00 ± 0.00 at β = 0.4 where the β-VAE with other noise has +0.50 ± 0.00.")


def test_the_learned_covariance_is_judged_by_the_true_loss():
    line = {"data": "mnist", "family": "full", "activation": "softplus", "beta": 0.4, "steps": STEPS}
    line |= {"learned_less_formula": 0.1, "learned_less_formula_seeds": 0.02, "variance_ratio": [0.5, 1.1, 2.0]}
    said = answers.answer(found("learned-covariance", [], [line, {**line, "beta": 0.1}]))
    assert said.endswith(": +0.100 ± 0.020 on MNIST, full (median of the variances over the formula's 1.10).")


def test_long_and_short_trainings_are_compared_seed_by_seed():
    shared = {"activation": "softplus", "noise_seed": None}
    rows = [
        row(
            {"beta_vae_diagonal": loss + seed},
            objective=objective,
            seed=seed,
            steps=steps,
            control=control,
            optimiser="adam" if control == "optimiser" else "muon",
            **shared,
        )
        for steps, control, lead in ((350, "length", 1.0), (5600, "core", -1.0), (5600, "optimiser", 3.0))
        for seed in range(2)
        for objective, loss in (("beta_vae", 9.0), ("grae_column", 9.0 + lead))
    ]
    alone = {"objective": "beta_vae", "seed": 7, "steps": 350, "control": "length", "optimiser": "muon", **shared}
    rows.append(row({"beta_vae_diagonal": 0.0}, **alone))
    said = answers.answer(found("digits-long", rows))
    assert "after 350 steps +1.00 ± 0.00 at β = 0.4; after 5,600 steps −1.00 ± 0.00 at β = 0.4;" in said
    assert said.endswith("; after 5,600 steps of Adam +3.00 ± 0.00 at β = 0.4.")


def test_the_race_says_who_needs_how_long():
    line = {"data": "digits", "beta": 0.4, "best_error": 0.3}
    table = [
        {**line, "side": "beta_vae", "best": 9.0, "seconds": 10.0},
        {**line, "side": "grae_column", "best": 9.5, "seconds": None, "best_error": 0.4},
        {**line, "side": "grae_quarter", "best": 9.6, "seconds": 5.0},
    ]
    assert ": 0.50 × on digits at β = 0.4 (best loss +0.50 ± 0.50 nats)." in answers.answer(found("race", [], table))
    assert ": not reached on digits" in answers.answer(found("race", [], table[:2]))


# --- what was run


def test_the_cost_is_told_by_device(monkeypatch):
    cost = {"seconds": 0.0, "cpu_seconds": 0.0}
    rows = [row(cost, seed=seed) for seed in range(3)]
    rows.append(row(cost, {"device": "NVIDIA Z", "date": "2026-01-05"}, steps=2 * STEPS))
    monkeypatch.setattr(recorded.experiments, "load", lambda name: found(name, rows, []))
    monkeypatch.setattr(recorded, "_state", lambda name: "current; of earlier code: 2 rows")
    said = recorded.summary("mnist-blocks")
    assert said.cost == "1.5 core-hours on CPU, x86_64 and 1.0 hours on NVIDIA Z"
    assert said.run.endswith("6,000 to 12,000 steps; " + said.cost + "; 2026-01-02 to 2026-01-05; current")
    assert said.command == "gradelib experiment run mnist-blocks --source MNIST --out FOLDER"


@pytest.mark.parametrize(
    ("code", "stale", "said"),
    [("today", None, "current"), ("before", None, "looked"), ("today", "not within", "looked")],
)
def test_rows_of_the_code_of_today_are_current(monkeypatch, code, stale, said):
    there = found("race", [row({}, {"code": "before"}), row({}, {"code": code})])
    there.stale = stale
    monkeypatch.setattr(recorded.experiments, "load", lambda name: there)
    monkeypatch.setattr(recorded.running, "code_digest", lambda experiment: "today")
    monkeypatch.setattr(recorded.running, "state_of", lambda experiment: "looked")
    recorded._state.cache_clear()
    assert recorded._state("race") == said
    recorded._state.cache_clear()


def test_a_row_that_was_trained_beside_others_costs_its_share_too(monkeypatch):
    rows = [row({"seconds": 1.0, "cpu_seconds": 1000.0}), row({"seconds": 1.0, "cpu_seconds": 5400.0})]
    monkeypatch.setattr(recorded.experiments, "load", lambda name: found(name, rows, []))
    monkeypatch.setattr(recorded, "_state", lambda name: "current")
    assert recorded.summary("race").cost == "2.5 core-hours on CPU, x86_64"


def test_rows_that_do_not_tell_the_cost_of_training_cost_at_least_so_much(monkeypatch):
    monkeypatch.setattr(recorded.experiments, "load", lambda name: found(name, [row({})], []))
    monkeypatch.setattr(recorded, "_state", lambda name: "current")
    assert recorded.summary("race").cost.startswith("at least 0.5 core-hours")


def test_a_number_of_the_table_is_told_with_its_error(monkeypatch):
    line = {"beta": 0.4, "kind": "a", "difference": 1.0, "difference_error": 0.5, "seeds": 4}
    table = [{**line, "level": 2.0, "level_deviation": 1.0}, {**line, "beta": 0.8, "gap": None}]
    monkeypatch.setattr(recorded.experiments, "load", lambda name: found(name, [], table))
    assert recorded.measured("race", "difference", beta="0.4", kind="a") == "+1.00 ± 0.50"
    assert recorded.measured("race", "level", beta="0.4") == "2.00 ± 0.50"
    for column, which in (("level", {}), ("level", {"beta": "0.5"}), ("gap", {"beta": "0.8"})):
        with pytest.raises(ValueError, match="there must be one"):
            recorded.measured("race", column, **which)


def test_a_diverged_row_is_told_and_a_stale_state_keeps_its_reason(monkeypatch):
    rows = [row({}), {**row({}), "state": "diverged"}]
    monkeypatch.setattr(recorded.experiments, "load", lambda name: found(name, rows, []))
    monkeypatch.setattr(recorded, "_state", lambda name: "stale until confirmed: a was 1 and is 2")
    assert re.search(
        r"2 of \d+ rows, 1 of them diverged, .*; stale until confirmed: a was", recorded.summary("race").run
    )


def test_nothing_recorded_is_said(monkeypatch):
    monkeypatch.setattr(recorded.experiments, "load", lambda name: found(name, [], []))
    monkeypatch.setattr(recorded, "_state", lambda name: "nothing is recorded yet")
    assert re.fullmatch(r"0 of \d+ rows; nothing is recorded yet", recorded.summary("race").run)


def test_pages_that_use_an_experiment_join_and_leave():
    here, other = (EvidenceDomain(SimpleNamespace(domaindata={})) for _ in range(2))
    other.note_use("b", "race")
    other.note_use("c", "race")
    here.note_use("a", "race")
    here.note_use("z", "mnist-blocks")
    here.merge_domaindata(["b"], other.data)
    here.note_use("0", "race")
    assert here.pages_that_use("race") == ["0", "a", "b"]
    here.clear_doc("a")
    assert here.pages_that_use("race") == ["0", "b"]


# --- on the pages

CHAPTER = """\
# Which is better?

It is so by {measured}`mnist-objectives difference objective=grae_column activation=softplus beta=0.8` nats.

It is so.

```{recorded} mnist-blocks
```

And so.
"""
TOC = """\
format: jb-book
root: book/index
parts:
  - {caption: Part, numbered: 1, chapters: [{file: book/01-one}]}
  - {caption: Back matter, chapters: [{file: book/experiments}]}
"""


# An extension of the small book: whether code still gives the recorded digits is tried in `tests/experiments`, and here
# each build would try it anew for all experiments.
KNOWN_STATES = """\
from book.extensions.evidence import recorded
def setup(app):
    recorded._state = lambda name: "current"
"""


def configure(root: Path, toc: str) -> None:
    write_configuration(root, toc)
    (root / "known_states.py").write_text(KNOWN_STATES, encoding="utf8")
    configuration = (root / "_config.yml").read_text(encoding="utf8")
    for ours, more in (
        ("    book.extensions: .\n", "    known_states: .\n"),
        ("- book.extensions\n", "      - known_states\n"),
    ):
        assert ours in configuration
        configuration = configuration.replace(ours, ours + more)
    (root / "_config.yml").write_text(configuration, encoding="utf8")


@pytest.fixture
def known_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "_state", lambda name: "current")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recorded")
    configure(root, TOC)
    experiments_page = "# Experiments\n\n```{experiments}\n```\n\n## On a GPU\n\n```{gpu-costs}\n```\n"
    for name, text in {"index": "# A\n\nB.\n", "01-one": FRONT + CHAPTER, "experiments": experiments_page}.items():
        (root / "book" / f"{name}.md").write_text(text, encoding="utf8")
    built = build(root)
    assert built.returncode == 0, built.stderr
    return root


@pytest.mark.usefixtures("known_states")
def test_two_lines_say_where_a_result_is_from(root):
    assert re.search(r"It is so by [+−][\d.]+ ± [\d.]+ nats", page(root, "01-one").text)
    first, second = page(root, "01-one").select(".gl-recorded")
    assert re.match(
        r"Recorded: mnist-blocks, \d+ of \d+ rows, .* steps; [\d.]+ .*hours on .*; (current|stale)", first.text
    )
    assert first.a["href"] == "experiments.html#experiment-mnist-blocks"
    assert second.text == f"Again: {recorded.summary('mnist-blocks').command}"


@pytest.mark.usefixtures("known_states")
def test_the_list_has_all_experiments_and_leads_to_their_chapters(root):
    listed = page(root, "experiments")
    assert [row.td.text.strip() for row in listed.table.select("tbody tr")] == list(experiments.NAMES)
    for name in experiments.NAMES:
        section = listed.find(id=f"experiment-{name}")
        found = recorded.summary(name)
        assert section.h2.text.startswith(found.question.replace("'", "’"))
        answer = found.answer or "Nothing is recorded yet that answers this."
        assert answer.replace("'", "’") in section.text
        assert found.command in section.text
    [lead] = listed.find(id="experiment-mnist-blocks").find_all("a", href="01-one.html")
    assert lead.text == "chapter 1"
    assert "Read in: no chapter yet" in listed.find(id="experiment-race").text


def test_the_costs_on_a_gpu_are_those_of_the_file(root):
    found = experiments.gpu_measurements()
    section = page(root, "experiments").find(id="on-a-gpu")
    assert f"one {found['device']} with torch" in section.p.text
    worst = max(entry["losses"] for entry in found["agreement"] if entry["dtype"] == "float32")
    assert f"{worst:.0e} in float32" in section.p.text
    cells = {
        row.td.text.strip(): [cell.text.strip() for cell in row.select("td")][1:] for row in section.select("tbody tr")
    }
    assert list(cells) == list(OBJECTIVES)
    for entry in found["speed"]:
        if entry["batch"] == 128:
            column = found["sizes"]["latents"].index(entry["latents"])
            assert cells[entry["objective"]][column] == f"{entry['milliseconds']:.1f} ms, {entry['megabytes']:,.0f} MB"


def test_what_was_not_measured_is_a_dash():
    assert recorded_pages._cost({"not measured": "the time was up"}) == recorded_pages._cost({}) == "–"


@pytest.mark.usefixtures("known_states")
def test_a_notebook_has_both_lines(root):
    built = build(root, *NOTEBOOKS)
    assert built.returncode == 0, built.stderr
    cell = nbformat.read(root / "_build/notebooks/book/01-one.ipynb", as_version=4).cells[-1]
    link = re.escape("/experiments.html#experiment-mnist-blocks")
    assert re.search(rf"It is so\.\n\nRecorded: \[mnist-blocks\]\(.*{link}\), ", cell.source)
    assert f"\n\nAgain: `{recorded.summary('mnist-blocks').command}`\n\nAnd so." in cell.source


@pytest.mark.slow
def test_paper_has_both_lines(root):
    make.write_latex(root)
    tex = (root / "_build/latex/book.tex").read_text(encoding="utf8").replace("\\sphinxhyphen{}", "-")
    assert re.search(r"Recorded: .*book/experiments:experiment-mnist-blocks.*, \d+ of \d+ rows", tex)
    assert r"\label{\detokenize{book/experiments:experiment-mnist-blocks}}" in tex


@pytest.mark.slow
def test_an_unknown_name_is_a_fault_of_the_page(tmp_path):
    configure(tmp_path, TOC.replace("{file: book/experiments}", "{file: book/other}"))
    (tmp_path / "book/index.md").write_text("# A\n\nB.\n")
    (tmp_path / "book/other.md").write_text("# C\n\nD.\n")
    (tmp_path / "book/01-one.md").write_text(FRONT + CHAPTER.replace("mnist-blocks", "mnist-block"))
    built = build(tmp_path)
    assert built.returncode != 0
    assert "mnist-blocks" in built.stderr
