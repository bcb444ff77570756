"""Sweeps: the numbers are those of `training.fit`, whoever does the job, and the table has each run once."""

import csv
import importlib.util
import json
import math
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from inline_executor import inline

from gradelib import cli, datasets, evaluation, networks, parallel, sweeps, training
from gradelib.parallel import Where
from gradelib.sweeps import COLUMNS, Runs, Settings, sweep

SMALL = Settings(betas=(0.1, 0.6), steps=10, batch=16, latent=3, dtype="float64", samples=8, held_out=50)
GRID = {"objectives": ("beta_vae", "grae_column"), "seeds": (0, 1), "networks": ("mlp:6",)}


def runs_of(objective="beta_vae", **options):
    return Runs(objective, "digits", "mlp:6", 0, options.get("betas", SMALL.betas), replace(SMALL, **options))


@pytest.fixture
def in_this_process(monkeypatch):
    """The jobs, one after the other, without another process: the tests of `parallel` have those."""
    monkeypatch.setattr(parallel, "_processes", inline)


def alike(row, other):
    """The same but for rounding."""
    return row.keys() == other.keys() and all(
        math.isclose(value, other[name], rel_tol=1e-9, abs_tol=1e-9)
        if isinstance(value, float)
        else value == other[name]
        for name, value in row.items()
    )


# --- the numbers


@pytest.mark.parametrize(
    ("objective", "family"), [("beta_vae", "diagonal"), ("grae_column", "diagonal"), ("grae", "full")]
)
def test_the_numbers_are_those_of_one_fit(objective, family):
    column = {"columns": 2, "fraction": 0.5} if objective == "grae_column" else {}
    rows = sweeps.train_and_judge(runs_of(objective, family=family, columns=2, fraction=0.5))["rows"]
    digits = datasets.load("digits", torch.float64)
    x = digits.test[:50]
    for row, beta in zip(rows, SMALL.betas, strict=True):
        model = networks.mlp_vae(64, 3, hidden=[6], family=family, seed=0).double()
        fit = training.fit(
            model, digits.train, beta=beta, seed=0, objective=objective, steps=10, batch_size=16, **column
        )
        assert math.isclose(row["train_loss"], fit.losses[-1:].mean(), rel_tol=1e-9)
        h = model.posterior(x).mean.detach()
        J = torch.func.vmap(torch.func.jacrev(model.decoder[:]))(h).detach()
        ratios = torch.eye(3) + J.mT @ J / beta
        logs = ratios.logdet() if family == "full" else ratios.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        by_hand = {
            "error": ((x - model.decoder(h).detach()) ** 2).sum(-1).mean() / 2 + 32 * math.log(2 * math.pi),
            "code": beta / 2 * (h**2).sum(-1).mean(),
            "charge": beta / 2 * logs.mean(),
        }
        for name, value in by_hand.items():
            assert math.isclose(row[name], value, rel_tol=1e-8), name
        assert math.isclose(row["deterministic"], sum(by_hand.values()), rel_tol=1e-9)
        gap = evaluation.gap(model, x, beta=beta, family=family, samples=8)
        assert math.isclose(row["beta_vae"], gap.sampled, rel_tol=1e-9)
        assert math.isclose(row["gap"], row["beta_vae"] - row["deterministic"], abs_tol=1e-9)
        own = evaluation.beta_vae_loss(model, x, beta=beta, samples=8)[0] if objective == "beta_vae" else None
        assert row["own"] == own or math.isclose(row["own"], own, rel_tol=1e-9)


def test_the_numbers_do_not_depend_on_what_else_is_in_the_job():
    both = sweeps.train_and_judge(runs_of())["rows"]
    alone = [sweeps.train_and_judge(runs_of(betas=(beta,)))["rows"][0] for beta in SMALL.betas]
    for one, other in zip(both, alone, strict=True):
        assert alike(one, other)


def test_models_are_built_one_at_a_time(monkeypatch):
    """Their first weights come from torch's global generator, and a Dask worker has several threads."""
    busy, most = [], []
    build = networks.mlp_vae

    def watched(*arguments, **options):
        busy.append(1)
        most.append(len(busy))
        time.sleep(0.02)
        busy.pop()
        return build(*arguments, **options)

    monkeypatch.setattr(networks, "mlp_vae", watched)
    digits = datasets.load("digits", torch.float64)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: sweeps.build("mlp:6", digits, SMALL, seed), range(4)))
    assert most == [1] * 4


def test_one_run_that_diverges_costs_no_other(monkeypatch):
    fit_grid = training.fit_grid

    def failing(make, x, *, betas, **options):
        if 0.6 in betas:
            raise FloatingPointError("The loss of β = 0.6 stopped being finite.")
        return fit_grid(make, x, betas=betas, **options)

    calm = sweeps.train_and_judge(runs_of())["rows"]
    monkeypatch.setattr(training, "fit_grid", failing)
    done, diverged = sweeps.train_and_judge(runs_of())["rows"]
    assert alike(done, calm[0])
    assert (diverged["beta"], diverged["state"]) == (0.6, "diverged")
    assert diverged["message"] == "The loss of β = 0.6 stopped being finite."


def test_a_last_step_too_far_is_a_divergence():
    (row,) = sweeps.train_and_judge(runs_of(betas=(0.1,), steps=1, learning_rate=1e200))["rows"]
    assert row["state"] == "diverged"
    assert "NaN or infinity" in row["message"]


# --- the table


def table(out):
    with open(out / "table.csv", newline="") as file:
        return list(csv.DictReader(file))


def which(row):
    return row["objective"], int(row["seed"]), float(row["beta"])


def test_the_table_has_each_run_once_and_grows(tmp_path, in_this_process):
    rows = sweep(tmp_path, SMALL, **GRID)
    found = table(tmp_path)
    expected = [(o, s, b) for o in ("beta_vae", "grae_column") for s in (0, 1) for b in (0.1, 0.6)]
    assert [which(row) for row in rows] == [which(row) for row in found] == expected
    assert list(found[0]) == list(COLUMNS)
    for row, line in zip(rows, found, strict=True):
        assert {name: row.get(name) for name in COLUMNS[6:-1]} == {
            name: float(line[name]) if line[name] else None for name in COLUMNS[6:-1]
        }
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    more = sweep(tmp_path, SMALL, **GRID | {"seeds": (2,), "objectives": ("beta_vae",)})
    assert [which(row) for row in more] == sorted([*expected, ("beta_vae", 2, 0.1), ("beta_vae", 2, 0.6)])
    assert [row for row in more if row["seed"] < 2] == rows
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_betas_in_parts_are_the_same_runs(tmp_path, in_this_process):
    whole = sweep(tmp_path / "a", SMALL, **GRID)
    parts = sweep(tmp_path / "b", replace(SMALL, together=1), **GRID)
    assert len(list((tmp_path / "b" / "runs").glob("[!.]*"))) == 8
    assert [which(row) for row in parts] == [which(row) for row in whole]
    for one, other in zip(parts, whole, strict=True):
        assert alike(one, other)


def test_a_job_that_fails_leaves_the_others_in_the_table_and_is_tried_again(tmp_path, in_this_process, monkeypatch):
    with monkeypatch.context() as patch:
        judge = sweeps.judge
        broken = lambda model, x, runs, beta: {}[beta] if len(x) > 2 and runs.seed else judge(model, x, runs, beta)  # noqa: E731
        patch.setattr(sweeps, "judge", broken)
        sentence = r"^2 of 4 jobs failed, and the same command tries them again; beta_vae-digits-mlp-6-seed1: KeyError"
        with pytest.raises(RuntimeError, match=sentence):
            sweep(tmp_path, SMALL, **GRID)
    assert {which(row)[1] for row in table(tmp_path)} == {0}
    assert len(sweep(tmp_path, SMALL, **GRID)) == len(table(tmp_path)) == 8


def test_a_table_that_came_too_early_is_written_again(tmp_path, monkeypatch):
    """Another shard's last result comes between our look at the folder and our table."""
    folder, write = tmp_path / "runs", sweeps.write_atomically
    folder.mkdir()
    row = {"data": "digits", "network": "mlp:6", "objective": "grae", "seed": 0, "beta": 0.1, "state": "done"}
    write(folder / "a.json", json.dumps({"rows": [row]}))

    def late(path, text):
        write(path, text)
        write(folder / "b.json", json.dumps({"rows": [row | {"seed": 1}]}))

    monkeypatch.setattr(sweeps, "write_atomically", late)
    assert [row["seed"] for row in sweeps.write_table(folder, tmp_path / "table.csv")] == [0, 1]
    assert [line["seed"] for line in table(tmp_path)] == ["0", "1"]


# --- one machine or many


def test_a_cluster_that_loses_a_worker_writes_the_table_of_one_process(tmp_path, monkeypatch):
    """The workers have two threads each, and one worker is killed when the first result is there."""
    distributed = pytest.importorskip("distributed", reason="needs the package distributed, for a Dask cluster")
    there, here, grid = tmp_path / "there", tmp_path / "here", GRID | {"seeds": (0, 1, 2, 3)}
    done_before = []

    def kill_one(cluster):
        while not (done := list(there.glob("runs/[!.]*"))):
            time.sleep(0.01)
        done_before.extend(done)
        os.kill(next(iter(cluster.workers.values())).process.pid, signal.SIGKILL)

    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, dashboard_address=None, silence_logs=50
    ) as cluster:
        killer = threading.Thread(target=kill_one, args=[cluster])
        killer.start()
        rows = sweep(there, SMALL, where=Where("dask", scheduler=cluster.scheduler_address), **grid)
        killer.join()
    assert 1 <= len(done_before) < 8
    monkeypatch.setattr(parallel, "_processes", inline)
    assert rows == sweep(here, SMALL, **grid)
    assert (there / "table.csv").read_bytes() == (here / "table.csv").read_bytes()
    assert len(table(there)) == 16


def test_a_worker_process_writes_the_table_of_one_process(tmp_path, monkeypatch):
    processes = sweep(tmp_path / "a", SMALL, where=Where(workers=1), **GRID)
    monkeypatch.setattr(parallel, "_processes", inline)
    assert sweep(tmp_path / "b", SMALL, **GRID) == processes


# --- the command, and bad input


def command(out, **options):
    words = {"out": out, "objective": "beta_vae", "beta": ".1,.6", "network": "mlp:6"} | options
    return cli.main(["sweep", *(word for name, value in words.items() for word in (f"--{name}", str(value)))])


FEW = {"steps": 10, "batch": 16, "latent": 3, "dtype": "float64", "samples": 8, "held-out": 50}


def test_the_command_is_the_function(tmp_path, in_this_process, capsys):
    assert command(tmp_path / "a", seed="0,1", objective="beta_vae,grae_column", **FEW) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a' / 'table.csv'}: 8 runs.\n"
    sweep(tmp_path / "b", SMALL, **GRID)
    assert (tmp_path / "a" / "table.csv").read_bytes() == (tmp_path / "b" / "table.csv").read_bytes()


def test_shards_of_a_sweep_fill_one_table(tmp_path, in_this_process, capsys):
    for shard, runs in (("1/2", 2), ("2/2", 4)):
        assert command(tmp_path, seed="0,1", shard=shard, **FEW) == 0
        assert f"table.csv: {runs} runs so far; the other shards" in capsys.readouterr().out
    assert [which(row)[1:] for row in table(tmp_path)] == [(0, 0.1), (0, 0.6), (1, 0.1), (1, 0.6)]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"objective": "beta-vae"}, "There is no objective called 'beta-vae'. Did you mean 'beta_vae'?"),
        ({"activation": "softpuls"}, "There is no activation called 'softpuls'. Did you mean 'softplus'?"),
        ({"data": "digit"}, "There is no data set called 'digit'. Did you mean 'digits'?"),
        ({"family": "diag"}, "Did you mean 'diagonal'?"),
        ({"network": "mpl:6"}, "There is no kind of network called 'mpl'. Did you mean 'mlp'?"),
        ({"network": "mlp"}, "network needs numbers with commas between them"),
        ({"network": "conv:4"}, "image_shape must be (28, 28) or (64, 64)"),
        ({"network": "conv:4,4"}, "has one width"),
        ({"network": "mlp:0"}, "a layer size must be a whole number of at least 1"),
        ({"beta": "0.1,a"}, "--beta needs numbers with commas between them, like .02,.06, but got '0.1,a'."),
        ({"beta": "0.1,-1"}, "beta must be a finite number above 0, but it is -1.0."),
        ({"beta": "0.1,.1"}, "Each beta must be different, but 0.1 is there 2 times."),
        ({"seed": "0,0"}, "Each seed must be different"),
        ({"seed": "-1"}, "seed must be a whole number of at least 0"),
        ({"seed": "x"}, "--seed needs numbers with commas"),
        ({"steps": "0"}, "steps must be a whole number of at least 1"),
        ({"steps": "many"}, "--steps"),
        ({"batch": "0"}, "batch must be a whole number"),
        ({"held-out": "0"}, "held_out must be a whole number"),
        ({"together": "0"}, "together must be a whole number"),
        ({"learning-rate": "0"}, "learning_rate must be a finite number above 0"),
        ({"samples": "7"}, "samples must be even"),
        ({"dtype": "float46"}, "There is no dtype called 'float46'"),
        ({"device": "gpu"}, "There is no device called 'gpu'"),
        ({"limit": "5"}, "limit and source go with 'mnist' and 'celeba'"),
        ({"objective": "grae_column", "columns": "9"}, "columns must not exceed the 3 latents"),
        ({"shard": "0/3"}, "--shard must be i/N with i from 1 to N"),
        ({"workers": "0"}, "--workers must be a whole number of at least 1"),
        ({"betta": "1"}, "There is no option called '--betta'. Did you mean '--beta'?"),
    ],
)
def test_bad_input_is_one_sentence_and_no_work(options, sentence, tmp_path, in_this_process, capsys):
    out = tmp_path / "results"
    assert command(out, **FEW | options) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("gradelib: ")
    assert said.err.count("\n") == 1
    assert sentence in said.err
    assert not out.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tmp_path, capsys):
    assert command(tmp_path, device="cuda") == 2
    assert "torch finds no GPU on this machine" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("datasets") is not None, reason="the package datasets is there")
def test_pictures_without_their_package(tmp_path, capsys):
    assert command(tmp_path / "results", data="mnist") == 2
    assert "pip install 'gradelib[images]'" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_another_folder_for_other_settings(tmp_path, in_this_process, capsys):
    assert command(tmp_path, **FEW) == 0
    before = (tmp_path / "table.csv").read_bytes()
    assert command(tmp_path, **FEW | {"steps": 11}) == 2
    assert "other settings (steps was 10 and is 11); use another folder" in capsys.readouterr().err
    assert (tmp_path / "table.csv").read_bytes() == before


def test_no_run_draws_a_bar_beside_the_bar_of_all(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    assert training._watched()
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert not training._watched()
