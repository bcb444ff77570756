"""What `make gpu` does, tried on the CPU; a GPU's own numbers need one."""

import json

import pytest
import torch

from benchmarks import gpu
from gradelib import experiments, training
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
    done = []

    def work(task):
        done.append(task.device)
        row = {"job": dict(task.job), "state": "done", "numbers": {"beta_vae_diagonal": 1.0}, "provenance": {}}
        return row, {"metric": [[1.0, 0.0], [0.0, 1.0]]}

    monkeypatch.setattr(running, "work", work)
    monkeypatch.setattr(experiments, "NAMES", ("mnist-objectives", "mnist-blocks"))
    sizes = gpu.Sizes(rows_until=1e9)
    count = len(mnist_objectives.EXPERIMENT.jobs) + len(mnist_blocks.EXPERIMENT.jobs)
    entries = list(gpu.rows("cuda", "folder", sizes, 0.0))
    assert len(entries) == count
    assert set(done) == {"cuda"}
    assert not list(gpu.rows("cuda", "folder", gpu.TINY, -1.0))
    file = tmp_path / "gpu.json"
    file.write_text(json.dumps({"rows": entries[:2] + entries[-1:]}), encoding="utf8")
    assert gpu.main(["--take", str(file)]) == 0
    assert list(Store(mnist_objectives.EXPERIMENT).read()[1]) == [entry["key"] for entry in entries[:2]]
    assert len(Store(experiments.find("mnist-blocks")).arrays()) == 1
    assert len(list(gpu.rows("cuda", "folder", sizes, 0.0))) == count - 3
