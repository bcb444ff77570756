"""What `make gpu` does, tried on the CPU; a GPU's own numbers need one."""

import json
import time

import pytest
import torch
from inline_executor import inline

from benchmarks import gpu
from gradelib import experiments, parallel, training
from gradelib.experiments import mnist_blocks, mnist_objectives, running
from gradelib.experiments.store import Store


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_one_sentence(tmp_path, capsys):
    assert gpu.main(["--out", str(tmp_path / "gpu.json")]) == 2
    assert capsys.readouterr().err == "benchmarks.gpu: torch finds no GPU on this machine; take the device 'cpu'.\n"
    assert not list(tmp_path.iterdir())


def test_everything_but_the_gpu_on_the_cpu(tmp_path, capsys):
    file = tmp_path / "gpu.json"
    assert gpu.main(["--device", "cpu", "--tiny", "--out", str(file)]) == 0
    found = json.loads(file.read_text(encoding="utf8"))
    assert len(found["agreement"]) == 2 * len(training.OBJECTIVES) * 2
    assert all(entry["losses"] == entry["weights"] == 0.0 for entry in found["agreement"])
    assert {entry["objective"] for entry in found["speed"]} == set(training.OBJECTIVES)
    assert all(entry["milliseconds"] > 0 for entry in found["speed"])
    assert found["rows"] == []


def test_rows_stop_when_the_time_is_up_and_are_merged_beside_the_others(tmp_path, monkeypatch):
    folder = tmp_path / "recorded"
    monkeypatch.setattr("gradelib.experiments.store.FOLDER", folder)
    monkeypatch.setattr(parallel, "_processes", inline)
    names, done = ("mnist-objectives", "mnist-blocks"), []

    def work_together(tasks):
        done.extend(task.device for task in tasks.values())
        numbers = {"state": "done", "numbers": {"beta_vae_diagonal": 1.0}, "provenance": {}}
        return {key: ({"job": dict(task.job), **numbers}, {"metric": [[1.0]]}) for key, task in tasks.items()}

    def rows(until):
        entries = []
        failed = gpu.rows("cuda", "folder", names, parallel.Where(workers=1), until, entries.append)
        assert failed == []
        return entries

    before = time.time() - 1
    assert rows(before) == []  # before anything is replaced: no group begins
    monkeypatch.setattr(running, "work_together", work_together)
    count = len(mnist_objectives.EXPERIMENT.jobs) + len(mnist_blocks.EXPERIMENT.jobs)
    entries = rows(before)
    assert len(entries) == len(done) == count
    assert set(done) == {"cuda"}
    file = tmp_path / "gpu.json"
    some = [entries[0], entries[1], entries[-1]]
    file.write_text(json.dumps({"rows": some}), encoding="utf8")
    assert gpu.main(["--take", str(file)]) == 0
    assert set(Store(mnist_objectives.EXPERIMENT).read()[1]) == {entry["key"] for entry in some[:2]}
    assert len(Store(experiments.find("mnist-blocks")).arrays()) == 1
    assert len(rows(before)) == count - 3
