"""Running an experiment: resume from the recorded file, whatever ends the run; bad input; confirm."""

import importlib
import json
import os
import subprocess
import sys
import textwrap
import time
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from corpora import some_of
from inline_executor import inline

from gradelib import cli, experiments, parallel, training
from gradelib.experiments import mnist_objectives, provenance, running
from gradelib.experiments.experiment import few_digits
from gradelib.experiments.store import Store

JOBS = {f"seed {seed}": {**mnist_objectives.CORE, "steps": 2, "seed": seed} for seed in range(4)}


def outcome(job, settings, data, device):
    """Numbers that follow from the job, and an array."""
    numbers = {"beta_vae_diagonal": 10.0 + job["seed"], "grae_bound": 9.0, "code_variances": [1 / 3, 2.0]}
    return numbers, {"metric": [[job["seed"], 0.5]]}


def slow_outcome(*arguments):
    time.sleep(0.2)
    return outcome(*arguments)


EXPERIMENT = replace(
    mnist_objectives.EXPERIMENT,
    name="small",
    data="digits",
    jobs=JOBS,
    settings={"held_out": 40, "samples": 4},
    run=outcome,
    tiny_jobs={"one": JOBS["seed 0"]},
    trainings=lambda job: [],
)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(parallel, "_processes", inline)
    monkeypatch.setattr(experiments, "find", lambda name: EXPERIMENT)
    return EXPERIMENT


def run(folder, experiment=EXPERIMENT, **options):
    said = []
    running.run(experiment, parallel.Where(workers=1), folder=folder, say=said.append, **options)
    return said


def test_rows_have_their_job_numbers_and_origin(tmp_path, small):
    estimate, end = run(tmp_path)
    assert estimate.startswith("small: 0 of 4 rows are there; the other 4 take about")
    assert end.endswith("4 rows more, 0 to go.")
    _, rows = Store(small, tmp_path).read()
    assert list(rows) == list(JOBS)
    for key, row in rows.items():
        assert row["job"] == JOBS[key]
        assert row["numbers"]["beta_vae_diagonal"] == 10.0 + JOBS[key]["seed"]
        assert row["numbers"]["code_variances"] == [0.333333, 2.0]
        assert row["provenance"]["versions"]["torch"] == torch.__version__
        assert row["provenance"]["device"].startswith("CPU")
    arrays = Store(small, tmp_path).arrays()
    assert np.array_equal(arrays["seed 2 metric"], np.array([[2, 0.5]], np.float32))
    assert run(tmp_path) == [
        "small: 4 of 4 rows are there; the other 0 take about 0.0 core-hours at the pace of 4 rows."
    ]


TOGETHER = tuple(name for name in experiments.NAMES if name not in ("mnist-blocks", "images-64"))


@pytest.mark.slow
@pytest.mark.sampled
@pytest.mark.parametrize("name", some_of(TOGETHER, 1))
def test_models_that_are_trained_side_by_side_give_the_same_rows(name, monkeypatch):
    """The jobs of the tiny run, at two β and two seeds, one by one and in groups."""
    original = experiments.find(name)
    experiment = replace(original, settings=original.tiny_settings, data="digits")
    monkeypatch.setattr(experiments, "find", lambda _: experiment)
    monkeypatch.setattr(running, "load_data", lambda *_: few_digits())
    tasks = {}
    for key, job in experiment.tiny_jobs.items():
        for beta, seed in ((0.4, 0), (0.4, 3), (0.7, 0), (0.7, 3)):
            tasks[f"{key} {beta} {seed}"] = running.Task(name, {**job, "beta": beta, "seed": seed}, None, "cpu", None)
    groups = running.groups(tasks)
    assert sorted(key for group in groups.values() for key in group) == sorted(tasks)
    assert max(map(len, groups.values())) == 4
    trained, fit = [], training.fit
    monkeypatch.setattr(training, "fit", lambda *given, **options: trained.append(given) or fit(*given, **options))
    for group in groups.values():
        trained.clear()
        found = running.work_together(group)
        if len(group) > 1:
            assert trained == []  # no model of a group is trained by itself
        for key, task in group.items():
            alone, together = running.work(task)[0]["numbers"], found[key][0]["numbers"]
            assert list(alone) == list(together)
            for number in alone.keys() - {"seconds", "cpu_seconds"}:
                assert together[number] == pytest.approx(alone[number], rel=2e-5, abs=1e-9), (key, number)


def test_a_group_that_diverges_is_trained_one_by_one(monkeypatch):
    monkeypatch.setattr(running, "load_data", lambda *_: few_digits())
    steep = {**mnist_objectives.CORE, "hidden": [8], "latents": 3, "steps": 12, "batch_size": 16, "learning_rate": 1e9}
    tasks = {
        f"seed {seed}": running.Task("mnist-objectives", {**steep, "seed": seed}, None, "cpu", None) for seed in (0, 1)
    }
    found = running.work_together(tasks)
    assert [row["state"] for row, _ in found.values()] == ["diverged", "diverged"]


def test_no_group_begins_when_the_time_is_up():
    task = running.Task("mnist-objectives", dict(mnist_objectives.CORE), None, "cpu", until=1.0)
    assert running.work_together({"one": task}) == {}


def tasks_of(name, device, *betas):
    job = dict(experiments.find(name).jobs[next(iter(experiments.find(name).jobs))])
    return {f"beta {beta}": running.Task(name, {**job, "beta": beta}, None, device, None) for beta in betas}


@pytest.mark.parametrize(
    ("name", "device", "sizes"),
    [
        ("digits-long", "cpu", [2]),  # small models give a core too little to do
        ("mnist-objectives", "cpu", [1, 1]),
        ("mnist-objectives", "cuda", [2]),
        ("digits-long", "cuda", [2]),
    ],
)
def test_who_trains_side_by_side(name, device, sizes):
    assert [len(group) for group in running.groups(tasks_of(name, device, 0.1, 0.4)).values()] == sizes


def test_a_shard_of_groups_is_the_same_whatever_the_others_have_done(tmp_path, small, monkeypatch):
    halves = replace(small, trainings=lambda job: [{**job, "hidden": [job["seed"] // 2]}])
    monkeypatch.setattr(experiments, "find", lambda name: halves)
    monkeypatch.setattr(running, "trained_together", lambda *_: nullcontext())
    done = []
    for shard in ((1, 2), (2, 2)):
        running.run(halves, parallel.Where(workers=1, shard=shard), folder=tmp_path, say=lambda _: None)
        done.append(list(Store(halves, tmp_path).read()[1]))
    assert done == [["seed 0", "seed 1"], list(JOBS)]


def test_a_gpu_gets_groups(tmp_path, small, monkeypatch):
    given = []

    def together(tasks):
        given.append([*tasks])
        return {key: running.work(replace(task, device="cpu")) for key, task in tasks.items()}

    monkeypatch.setattr(training, "place_of", lambda _: torch.device("cuda"))
    monkeypatch.setattr(provenance, "device_name", lambda _: "a GPU")
    monkeypatch.setattr(running, "work_together", together)
    experiment = replace(small, trainings=lambda job: [job])
    monkeypatch.setattr(experiments, "find", lambda name: experiment)
    run(tmp_path, experiment)
    assert given == [[*JOBS]]
    rows = Store(small, tmp_path).read()[1]
    assert {row["provenance"]["device"] for row in rows.values()} == {"a GPU"}
    assert run(tmp_path)[0].startswith("small: 4 of 4 rows are there; the other 0")


@pytest.mark.parametrize("at", range(4))
def test_what_is_done_is_not_done_again_whenever_the_run_ends(tmp_path, small, monkeypatch, at):
    merged, merge = [], Store.merge

    def counted(store, key, *row):
        if len(merged) == at:
            raise KeyboardInterrupt
        merged.append(key)
        merge(store, key, *row)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "merge", counted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
        at = 99
        run(tmp_path)
    assert merged == list(JOBS)
    assert list(Store(small, tmp_path).read()[1]) == list(JOBS)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
sys.path.insert(0, {shared!r})
from inline_executor import inline
from test_running import EXPERIMENT, slow_outcome
from pathlib import Path
from dataclasses import replace
from gradelib import experiments, parallel
from gradelib.experiments import running
small = replace(EXPERIMENT, run=slow_outcome)
experiments.find, parallel._processes = (lambda name: small), inline
running.run(small, parallel.Where(workers=1), folder=Path({folder!r}))
"""


def test_a_killed_process_leaves_whole_files_and_the_next_goes_on(tmp_path, small):
    tests = os.path.dirname(__file__)
    script = textwrap.dedent(SCRIPT).format(tests=tests, shared=os.path.dirname(tests), folder=str(tmp_path))
    store = Store(small, tmp_path)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None and len(store.read()[1]) < 2:
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    there = store.read()[1]
    assert 2 <= len(there) < 4
    run(tmp_path)
    rows = store.read()[1]
    assert list(rows) == list(JOBS)
    assert {key: rows[key] for key in there} == there
    assert len(store.arrays()) == 4


def test_no_job_starts_after_the_time(tmp_path, small):
    assert run(tmp_path, minutes=1e-9)[-1].endswith("0 rows more, 4 to go.")
    assert run(tmp_path, minutes=1)[-1].endswith("4 rows more, 0 to go.")


def test_a_job_that_diverges_is_a_row_and_one_that_fails_is_tried_again(tmp_path, small, monkeypatch):
    def failing(job, settings, data, device):
        if job["seed"] == 3:
            raise FloatingPointError("The loss stopped being finite.")
        if job["seed"] == 1:
            raise ValueError("no luck")
        if job["seed"] == 2:
            return {"beta_vae_diagonal": 1.0, "grae_bound": float("nan")}, {"metric": [[1.0]]}
        return outcome(job, settings, data, device)

    broken = replace(small, run=failing, tiny_jobs={})
    with monkeypatch.context() as patch:
        patch.setattr(experiments, "find", lambda name: broken)
        with pytest.raises(
            RuntimeError, match=r"^1 jobs failed, and the same command tries them again; seed 1: ValueError: no luck"
        ):
            run(tmp_path, broken)
        rows = Store(broken, tmp_path).read()[1]
        assert list(rows) == ["seed 0", "seed 2", "seed 3"]
        assert (rows["seed 3"]["state"], rows["seed 3"]["message"]) == ("diverged", "The loss stopped being finite.")
        assert rows["seed 2"]["message"] == "These numbers are not finite: grae_bound."
        assert rows["seed 2"]["arrays"] == {}
    healed = replace(small, tiny_jobs={})
    run(tmp_path, healed)
    assert len(Store(healed, tmp_path).read()[1]) == 4


# --- what a recorded file may be


def altered(folder, change):
    path = folder / "small.json"
    content = json.loads(path.read_text(encoding="utf8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf8")


def nicer(content):
    content["rows"]["seed 1"]["numbers"]["beta_vae_diagonal"] = 9.0


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: altered(folder, nicer), r"The row seed 1 of .*small\.json was altered; take it from version"),
        (lambda folder: altered(folder, lambda c: c["head"].update(stale=None)), r"The head of .* was altered"),
        (lambda folder: altered(folder, lambda c: c.pop("rows")), r"is cut off or no recorded experiment"),
        (lambda folder: os.truncate(folder / "small.json", 500), r"is cut off or no recorded experiment"),
        (lambda folder: os.truncate(folder / "small.json", 0), r"is cut off or no recorded experiment"),
        (lambda folder: os.truncate(folder / "small.npz", 100), r"small\.npz is cut off or altered"),
    ],
)
def test_a_cut_or_altered_file_is_one_sentence_and_nothing_is_lost(tmp_path, small, spoil, sentence):
    run(tmp_path)
    spoil(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    more = replace(small, jobs={**JOBS, "seed 9": {**JOBS["seed 0"], "seed": 9}})
    with pytest.raises(ValueError, match=sentence):
        run(tmp_path, more)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_arrays_that_are_not_those_of_their_rows_are_refused(tmp_path, small):
    run(tmp_path)
    store = Store(small, tmp_path)
    rows, arrays = store.read()[1], store.arrays()
    assert store.arrays_of(rows).keys() == arrays.keys()
    for spoilt in (
        {**arrays, "seed 1 metric": arrays["seed 1 metric"] + 1},
        {"seed 0 metric": arrays["seed 0 metric"]},
    ):
        np.savez_compressed(tmp_path / "small.npz", **spoilt)
        with pytest.raises(ValueError, match=r"small\.npz does not hold what the row seed 1 says it does"):
            store.arrays_of(rows)
        with pytest.raises(ValueError, match="does not hold"):
            experiments.load("small", tmp_path)


def test_results_of_other_settings_or_data_are_refused(tmp_path, small, monkeypatch):
    run(tmp_path)
    before = (tmp_path / "small.json").read_bytes()
    for other, sentence in (
        (replace(small, settings={"held_out": 41, "samples": 4}), r"other settings \(held_out was 40 and is 41\)"),
        (
            replace(small, jobs={**JOBS, "seed 0": {**JOBS["seed 0"], "steps": 3}}),
            r"other settings \(seed 0: steps was 2 and is 3\)",
        ),
    ):
        with pytest.raises(ValueError, match=sentence):
            run(tmp_path, other)
    monkeypatch.setattr(running, "data_digest", lambda data: "0" * 16)
    with pytest.raises(ValueError, match="other data"):
        run(tmp_path, replace(small, jobs={**JOBS, "seed 9": {**JOBS["seed 0"], "seed": 9}}))
    assert (tmp_path / "small.json").read_bytes() == before


def test_code_with_other_numbers_adds_no_row(tmp_path, small, monkeypatch):
    run(tmp_path, replace(small, jobs={"seed 0": JOBS["seed 0"]}))

    def other(*arguments):
        numbers, arrays = outcome(*arguments)
        return {**numbers, "beta_vae_diagonal": 10.001}, arrays

    monkeypatch.setattr(running, "code_digest", lambda experiment: "of other code")
    with pytest.raises(ValueError, match=r"beta_vae_diagonal was 10 and is 10\.001\).*'gradelib experiment confirm"):
        run(tmp_path, replace(small, run=other))
    assert len(Store(small, tmp_path).read()[1]) == 1
    assert "stale until confirmed: one beta_vae_diagonal was 10" in running.summary(replace(small, run=other), tmp_path)


@pytest.mark.parametrize("changed", [None, "code_digest", "versions"])
def test_the_tiny_run_is_repeated_for_other_code_or_versions_alone(tmp_path, small, monkeypatch, changed):
    run(tmp_path)
    if changed == "code_digest":
        monkeypatch.setattr(running, "code_digest", lambda experiment: "of other code")
    if changed == "versions":
        monkeypatch.setattr(provenance, "versions", lambda: {"torch": "99"})
    tried = []

    def counted(*arguments):
        tried.append(arguments)
        return outcome(*arguments)

    more = replace(small, run=counted, jobs={**JOBS, "seed 9": {**JOBS["seed 0"], "seed": 9}})
    monkeypatch.setattr(experiments, "find", lambda name: more)
    assert running.state_of(more, tmp_path).startswith("current")
    assert bool(tried) is bool(changed)
    tried.clear()
    run(tmp_path, more)
    assert len(tried) == 1 + bool(changed)  # the job itself, and the tiny run
    tried.clear()
    assert running.state_of(more, tmp_path).startswith("current")
    assert tried == []  # its digits were renewed


def test_a_full_disk_leaves_the_rows_that_were_there(tmp_path, small, monkeypatch, capsys):
    run(tmp_path, replace(small, jobs={"seed 0": JOBS["seed 0"]}))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    monkeypatch.setattr(experiments, "NAMES", ("small",))
    assert cli.main(["experiment", "run", "small", "--out", str(tmp_path)]) == 1
    assert "No space left on device." in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_missing_data_are_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    running.load_data.cache_clear()
    assert cli.main(["experiment", "run", "mnist-blocks", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "train-images-idx3-ubyte" in said
    assert "--source FOLDER" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "mnist-blok"], "There is no experiment called 'mnist-blok'. Did you mean 'mnist-blocks'?"),
        (["rum", "mnist-blocks"], "There is no action called 'rum'. Did you mean 'run'?"),
        (["confirm"], "confirm needs the name of an experiment"),
        (["run", "mnist-blocks", "--device", "gpu"], "There is no device called 'gpu'"),
        (["run", "mnist-blocks", "--minutes", "0"], "--minutes must be a number above 0"),
        (["run", "mnist-blocks", "--minutes", "nan"], "--minutes must be a number above 0"),
        (["run", "mnist-blocks", "--shard", "0/3"], "--shard must be i/N"),
        (["confirm", "mnist-blocks", "--out", "nowhere"], "no two rows that differ in the seed alone"),
    ],
)
def test_a_wrong_call_is_one_sentence(arguments, sentence, capsys):
    assert cli.main(["experiment", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


# --- confirm


def test_confirm_renews_the_tiny_digits_where_the_rows_hold(tmp_path, small, monkeypatch):
    run(tmp_path)

    def close(job, settings, data, device):
        numbers, arrays = outcome(job, settings, data, device)
        return {**numbers, "beta_vae_diagonal": numbers["beta_vae_diagonal"] + 3.6}, arrays  # the spread is 3.65

    def confirm(experiment):
        monkeypatch.setattr(experiments, "find", lambda name: experiment)
        return running.confirm(experiment, parallel.Where(workers=1), folder=tmp_path, say=lambda sentence: None)

    changed = replace(small, run=close)
    assert confirm(changed)
    head = Store(small, tmp_path).read()[0]
    assert head["tiny"]["digits"]["one beta_vae_diagonal"] == "13.6"
    assert head["stale"] is None
    assert not confirm(replace(small, run=far_off))
    head = Store(small, tmp_path).read()[0]
    assert "not within the spread" in head["stale"]
    assert head["tiny"]["digits"]["one beta_vae_diagonal"] == "13.6"


def test_confirm_asks_of_a_row_its_seeds_and_its_number_alone(tmp_path, small, monkeypatch):
    """A grid of β has no β of its own, and what measures something else has another number."""
    grid = {key: {name: job[name] for name in job if name not in ("beta", "control")} for key, job in JOBS.items()}
    others = {f"other {key}": {**job, "what": "another thing"} for key, job in grid.items()}

    def two_kinds(job, settings, data, device):
        return ({"another thing": 1.0}, {}) if "what" in job else outcome(job, settings, data, device)

    experiment = replace(small, jobs=grid | others, run=two_kinds)
    monkeypatch.setattr(experiments, "find", lambda name: experiment)
    run(tmp_path, experiment)
    said = []
    assert running.confirm(experiment, parallel.Where(workers=1), folder=tmp_path, count=99, say=said.append)
    assert sorted(line.split(":")[0] for line in said[:-1]) == sorted(grid)


def far_off(job, settings, data, device):
    numbers, arrays = outcome(job, settings, data, device)
    return {**numbers, "beta_vae_diagonal": numbers["beta_vae_diagonal"] + 4.0}, arrays


# --- the digest of code


MODULE = '''
"""A module."""
from small_package import other
SCALE = 2
def run(x):
    return helper(x) + other.shift(x)
def helper(x):
    return SCALE * x
def unused(x):
    return x
'''
OTHER = "def shift(x):\n    return x - 1\n"
KINDS = {
    "documented": (MODULE.replace("def helper(x):", 'def helper(x):\n    """Twice x."""'), OTHER, True),
    "annotated": (
        MODULE.replace("helper(x):", "helper(x: float) -> float:").replace("SCALE =", "SCALE: int ="),
        OTHER,
        True,
    ),
    "commented": (MODULE.replace("SCALE * x", "SCALE * x  # twice"), OTHER, True),
    "unused": (MODULE.replace("    return x\n", "    return -x\n"), OTHER, True),
    "sign": (MODULE.replace("SCALE * x", "-SCALE * x"), OTHER, False),
    "constant": (MODULE.replace("SCALE = 2", "SCALE = 3"), OTHER, False),
    "elsewhere": (MODULE, OTHER.replace("- 1", "+ 1"), False),
}


def code_digest_of(folder, monkeypatch, main, other):
    package = folder / "small_package"
    package.mkdir()
    for name, text in (("__init__", ""), ("main", main), ("other", other)):
        (package / f"{name}.py").write_text(text, encoding="utf8")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setattr(provenance, "PACKAGE", "small_package")
        for name in [name for name in sys.modules if name.startswith("small_package")]:
            patch.delitem(sys.modules, name)
        provenance._module.cache_clear()
        found = provenance.code_digest("small_package.main.run")
        provenance._module.cache_clear()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_digest_of_code_is_of_what_it_does(kind, tmp_path, monkeypatch):
    main, other, same = KINDS[kind]
    digests = []
    for name, texts in (("a", (MODULE, OTHER)), ("b", (main, other))):
        (tmp_path / name).mkdir()
        digests.append(code_digest_of(tmp_path / name, monkeypatch, *texts))
    assert (digests[0] == digests[1]) == same


def test_the_digest_of_an_experiment_covers_its_mathematics():
    with_everything = provenance.code_digest("gradelib.experiments.mnist_blocks.run")
    assert with_everything != provenance.code_digest("gradelib.experiments.mnist_objectives.run")


# --- the command, with workers, on the four files of MNIST


@pytest.mark.slow
@pytest.mark.sampled
@pytest.mark.parametrize("name", some_of(["mnist-objectives", "mnist-blocks", "learned-covariance"], 1))
def test_the_command_trains_in_a_worker_and_goes_on(name, tmp_path, monkeypatch, capsys):
    generator = np.random.default_rng(0)
    for half, count in (("train", 9), ("t10k", 2100)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", np.zeros(count, np.uint8))):
            head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4) for size in array.shape)
            (tmp_path / f"{half}-{kind}-ubyte").write_bytes(head + array.tobytes())
    running.load_data.cache_clear()
    module = importlib.import_module(f"gradelib.experiments.{name.replace('-', '_')}")
    jobs = {key: {**job, "steps": 2} for key, job in list(module.EXPERIMENT.jobs.items())[:4:3]}
    small = replace(module.EXPERIMENT, jobs=jobs, tiny_jobs={})
    monkeypatch.setattr(module, "EXPERIMENT", small)
    call = ["experiment", "run", name, "--source", str(tmp_path), "--out", str(tmp_path / "out"), "--workers", "1"]
    assert cli.main([*call, "--shard", "1/2"]) == 0
    assert list(Store(small, tmp_path / "out").read()[1]) == list(jobs)[:1]
    assert cli.main(call) == 0
    assert "1 of 2 rows are there; the other 1 take about" in capsys.readouterr().out
    rows = Store(small, tmp_path / "out").read()[1]
    assert [row["state"] for row in rows.values()] == ["done"] * 2
    assert all(row["provenance"]["cpu_seconds"] > 0 for row in rows.values())
    recorded = experiments.load(name, tmp_path / "out")
    assert recorded.missing == []
    assert all(array.dtype == np.float32 for array in recorded.arrays.values())
    assert cli.main(["experiment", "list", name, "--out", str(tmp_path / "out")]) == 0
    assert "2 of 2 rows" in capsys.readouterr().out
