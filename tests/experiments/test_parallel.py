"""Many jobs: each done once, kept whole, carried on after any end, on this machine and on a Dask cluster."""

import argparse
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from gradelib import parallel
from gradelib.parallel import FAILURE, Where, path_of, run_all

needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="needs the package distributed, for a Dask cluster"
)
ONE, TWO = Where(workers=1), Where(workers=2)


# --- what the jobs are: functions that a worker can import, and that leave a mark each time they are run


def square(job):
    log, number = job
    _mark(log, number)
    return {"square": number**2, "third": number / 3}


def slow_square(job):
    result = square(job)
    time.sleep(0.1)
    return result


def fragile(job):
    """Number 3 raises, number 5 leaves."""
    result = square(job)
    if job[1] == 3:
        raise KeyError("no such thing")
    if job[1] == 5:
        sys.exit("enough")
    return result


def deadly(job):
    """Number 2 kills its process each time, number 4 only the first time."""
    log, number = job
    first = not list(log.glob(f"{number}-*"))
    result = square(job)
    if number == 2 or (number == 4 and first):
        os.kill(os.getpid(), signal.SIGKILL)
    return result


def not_finite(job):
    return {"numbers": [float("nan"), float("inf"), -float("inf"), 1.5], "inside": {"one": (float("nan"),)}}


def no_json(job):
    return {"result": object()}


def _mark(log, number):
    log.mkdir(exist_ok=True)
    (log / f"{number}-{os.getpid()}-{time.time_ns()}").touch()


def times_run(log):
    counts = {}
    for mark in log.iterdir():
        number = int(mark.name.split("-")[0])
        counts[number] = counts.get(number, 0) + 1
    return counts


def worker_of(mark):
    return int(mark.name.split("-")[1])


def squares(tmp_path, count=8):
    return {f"job{number}": (tmp_path / "log", number) for number in range(count)}


EXPECTED = {f"job{number}": {"square": number**2, "third": number / 3} for number in range(30)}


def expected(count=8, without=()):
    return {key: EXPECTED[key] for key in list(EXPECTED)[:count] if key not in without}


def files_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != parallel.SETTINGS)


# --- on this machine


def test_each_job_is_done_once_and_its_result_is_kept(tmp_path):
    jobs, folder = squares(tmp_path), tmp_path / "a" / "results"
    for _ in range(2):
        found = run_all(square, jobs, folder, TWO, label="jobs")
        assert list(found.items()) == list(expected().items())
        assert times_run(tmp_path / "log") == dict.fromkeys(range(8), 1)
    assert files_in(folder) == [f"job{number}.json" for number in range(8)]
    assert json.loads((folder / "job7.json").read_text()) == EXPECTED["job7"]


def test_more_jobs_may_join(tmp_path):
    run_all(square, squares(tmp_path, 2), tmp_path / "results", ONE, label="jobs")
    found = run_all(square, squares(tmp_path, 4), tmp_path / "results", ONE, label="jobs")
    assert found == expected(4)
    assert times_run(tmp_path / "log") == dict.fromkeys(range(4), 1)


def test_a_job_that_raises_is_a_sentence_stops_no_other_and_is_tried_again(tmp_path):
    for times in (1, 2):
        found = run_all(fragile, squares(tmp_path), tmp_path / "results", TWO, label="jobs")
        assert found["job3"][FAILURE] == "job3: KeyError: 'no such thing'"
        assert "in fragile" in found["job3"]["traceback"]
        assert found["job5"][FAILURE] == "job5: SystemExit: enough"
        assert {key: found[key] for key in found if key not in ("job3", "job5")} == expected(without=("job3", "job5"))
        assert times_run(tmp_path / "log") == dict.fromkeys(range(8), 1) | {3: times, 5: times}


def test_numbers_that_are_not_finite_are_null(tmp_path):
    found = run_all(not_finite, {"one": None}, tmp_path, ONE, label="jobs")
    assert found == {"one": {"numbers": [None, None, None, 1.5], "inside": {"one": [None]}}}
    assert json.loads((tmp_path / "one.json").read_text(), parse_constant=pytest.fail) == found["one"]


def test_a_result_that_is_no_json_names_its_job(tmp_path):
    found = run_all(no_json, {"one": None}, tmp_path, ONE, label="jobs")
    assert found["one"][FAILURE] == "one: TypeError: Object of type object is not JSON serializable"


def test_an_unreadable_result_is_made_again(tmp_path):
    run_all(square, squares(tmp_path, 3), tmp_path / "results", ONE, label="jobs")
    (tmp_path / "results" / "job1.json").write_text('{"square": ')
    assert run_all(square, squares(tmp_path, 3), tmp_path / "results", ONE, label="jobs") == expected(3)
    assert times_run(tmp_path / "log") == {0: 1, 1: 2, 2: 1}


def test_a_process_that_dies_costs_only_the_job_that_kills_it(tmp_path):
    """One job kills every process that tries it, another one only the first; which it was nobody says."""
    found = run_all(deadly, squares(tmp_path), tmp_path / "results", TWO, label="jobs")
    assert found.pop("job2")[FAILURE].startswith("job2: its process died, also alone;")
    assert found == expected(without=("job2",))
    counts = times_run(tmp_path / "log")
    assert 2 <= counts[2] <= 4
    assert counts[4] == 2


def test_a_job_that_kills_its_process_is_found_by_one_worker_too(tmp_path):
    found = run_all(deadly, squares(tmp_path, 4), tmp_path / "results", ONE, label="jobs")
    assert found.pop("job2")[FAILURE].startswith("job2: its process died")
    assert found == expected(4, without=("job2",))
    assert times_run(tmp_path / "log")[2] >= 2  # once more than in the crowd


def test_suspects_are_halved_down_to_one():
    assert [parallel._halves(size) for size in (1, 2, 3, 4, 7, 16)] == [[1], [1], [1], [2, 1], [3, 1], [8, 4, 2, 1]]


# --- shards, and an end at any moment


def test_the_shards_are_the_whole(tmp_path):
    for shard in (1, 2, 3):
        found = run_all(
            square, squares(tmp_path), tmp_path / "results", Where(workers=1, shard=(shard, 3)), label="jobs"
        )
        assert len(found) == (3, 6, 8)[shard - 1]
    assert list(found.items()) == list(expected().items())
    assert times_run(tmp_path / "log") == dict.fromkeys(range(8), 1)


RUN = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import test_jobs
test_jobs.run_all(test_jobs.slow_square, test_jobs.squares(Path({folder!r}), 20), Path({folder!r}) / "results",
                  test_jobs.Where(workers=1, shard={shard}), label="jobs")
"""


@contextmanager
def another_process(folder, shard=None):
    """The same jobs in a process of its own, which is gone in the end with all that it started."""
    script = RUN.format(tests=str(Path(__file__).parents[1]), folder=str(folder), shard=shard)
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def results_in(folder):
    return list((folder / "results").glob("job*.json"))


def test_killed_in_the_middle_it_goes_on_and_does_nothing_again(tmp_path):
    with another_process(tmp_path) as process:
        wait_for(lambda: len(results_in(tmp_path)) >= 3)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = {path.stem: json.loads(path.read_text()) for path in results_in(tmp_path)}
    assert 3 <= len(done) < 20
    found = run_all(square, squares(tmp_path, 20), tmp_path / "results", TWO, label="jobs")
    assert found == expected(20)
    assert done.items() <= found.items()
    counts = times_run(tmp_path / "log")
    assert {key: counts[int(key[3:])] for key in done} == dict.fromkeys(done, 1)
    assert sum(counts.values()) <= 20 + 2  # at most what was under way was begun twice


def test_two_shards_at_a_time_do_not_disturb_each_other(tmp_path):
    with another_process(tmp_path, (1, 2)) as first, another_process(tmp_path, (2, 2)) as second:
        assert (first.wait(60), second.wait(60)) == (0, 0)
    assert files_in(tmp_path / "results") == sorted(f"job{number}.json" for number in range(20))
    assert run_all(square, squares(tmp_path, 20), tmp_path / "results", ONE, label="jobs") == expected(20)
    assert times_run(tmp_path / "log") == dict.fromkeys(range(20), 1)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "file.json"
    parallel.write_whole(file, "old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            parallel.write_whole(file, "new")
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.json"]


def test_what_a_killed_run_left_is_cleared_away_but_not_what_another_is_writing(tmp_path):
    old, young = tmp_path / ".old.unfinished", tmp_path / ".young.unfinished"
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    run_all(square, {}, tmp_path, ONE, label="jobs")
    assert (old.exists(), young.exists()) == (False, True)


# --- keys and folders

ODD = ["", ".", "..", "../up", "/root", "a/b", "a%2Fb", "%", "Ümit", "a b", ".hidden", "nul\0", "x" * 300, "x" * 301,
       "é" * 200, "\udcff.ipynb", "..%2F", "new\nline", "a\\b", ".settings"]  # fmt: skip


def test_every_key_has_a_file_of_its_own_in_the_folder(tmp_path):
    files = [path_of(tmp_path, key) for key in ODD]
    assert len(set(files)) == len(ODD)
    for file in files:
        assert file.parent == tmp_path
        assert not file.name.startswith(".")
        parallel.write_whole(file, "{}")
    assert len(list(tmp_path.iterdir())) == len(ODD)
    assert path_of(tmp_path, "Ümit 1-2_a.b").name == "Ümit 1-2_a.b.json"


def test_results_of_other_settings_are_not_mixed(tmp_path):
    jobs, folder = squares(tmp_path, 1), tmp_path / "results"
    for _ in range(2):
        run_all(square, jobs, folder, ONE, label="jobs", settings={"steps": 5, "betas": (1, 2)})
    sentence = r"results holds results of other settings \(steps was 5 and is 6\); use another folder or delete this"
    with pytest.raises(ValueError, match=sentence):
        run_all(square, jobs, folder, ONE, label="jobs", settings={"steps": 6, "betas": (1, 2)})
    with pytest.raises(ValueError, match=r"\(steps was 5 and is None\)"):
        run_all(square, jobs, folder, ONE, label="jobs")
    assert times_run(tmp_path / "log") == {0: 1}


def test_a_folder_that_is_none_or_anothers_is_left_alone(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ValueError, match=r"file is a file, but results need a folder\."):
        run_all(square, squares(tmp_path), file, ONE, label="jobs")
    (tmp_path / "package.json").write_text("{}")
    with pytest.raises(ValueError, match="holds files that did not come from here; use another folder"):
        run_all(square, squares(tmp_path), tmp_path, ONE, label="jobs")
    assert sorted(os.listdir(tmp_path)) == ["file", "package.json"]


# --- the bar


class Terminal:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


def test_the_bar_is_for_those_who_watch(tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    run_all(square, squares(tmp_path, 2), tmp_path / "results", ONE, label="marking")
    assert capfd.readouterr() == ("", "")

    def seen(**options):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        run_all(square, squares(tmp_path, 2), tmp_path / "results", ONE, label="marking", **options)
        return terminal.text

    assert "marking: 100%" in seen()
    assert seen(quiet=True) == ""
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert seen() == ""


# --- the options


def options(*arguments):
    parser = argparse.ArgumentParser()
    parallel.add_arguments(parser)
    return parallel.where_from(parser.parse_args(arguments))


def test_the_options_say_where():
    assert options() == Where()
    assert options("--workers", "3", "--shard", "2/8") == Where(workers=3, shard=(2, 8))
    there = "tcp://10.0.0.1:8786"
    assert options("--backend", "dask", "--scheduler", there) == Where(backend="dask", scheduler=there)


@pytest.mark.parametrize("shard", ["0/3", "4/3", "a", "1/0", "-1/3", "1", "1/2/3", "1/", ""])
def test_a_shard_that_is_none_is_refused(shard):
    with pytest.raises(ValueError, match=rf"--shard must be i/N with i from 1 to N, .* but it is '{shard}'\."):
        options(f"--shard={shard}")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--workers", "0"], "--workers must be at least 1"),
        (["--workers", "two"], "--workers must be a whole number, but it is 'two'"),
        (["--backend", "dusk"], "no backend called 'dusk'. Did you mean 'dask'?"),
        (["--backend", "dask"], "--backend dask needs --scheduler ADDRESS"),
        (["--scheduler", "tcp://10.0.0.1:8786"], "so it needs --backend dask, too"),
        (["--backend", "dask", "--scheduler", "a:1", "--workers", "2"], "--workers counts processes on this machine"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match="^[^\n]*" + sentence.replace("?", r"\?")):
        options(*arguments)


# --- on a cluster


@pytest.fixture(scope="module")
def cluster():
    """A real one: a scheduler and three worker processes, which are started again when they die."""
    import dask
    from distributed import LocalCluster

    strict = {  # one job for each worker at a time: Dask blames all that a dead worker had been given
        "distributed.scheduler.allowed-failures": 1,
        "distributed.scheduler.worker-saturation": 1.0,
    }
    with (
        dask.config.set(strict),
        LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
    ):
        yield cluster


def on(cluster):
    return Where(backend="dask", scheduler=cluster.scheduler_address)


@needs_dask
def test_a_cluster_loses_a_worker_and_nothing_else(cluster, tmp_path):
    """One worker is killed while all of them work; each job has the result that one process alone gives it."""
    jobs, log, folder = squares(tmp_path, 30), tmp_path / "log", tmp_path / "results"
    done_before = []

    def kill_one():
        wait_for(lambda: len(list(folder.glob("job*.json"))) >= 5)
        done_before.extend(folder.glob("job*.json"))
        os.kill(worker_of(max(log.iterdir(), key=lambda mark: mark.name.split("-")[2])), signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    found = run_all(slow_square, jobs, folder, on(cluster), label="jobs")
    killer.join()
    assert 5 <= len(done_before) < 30
    assert list(found.items()) == list(expected(30).items())
    alone = tmp_path / "alone"
    assert found == run_all(square, squares(alone, 30), alone / "results", ONE, label="jobs")
    assert files_in(folder) == sorted(f"{key}.json" for key in jobs)
    assert len({worker_of(mark) for mark in log.iterdir()}) >= 2
    assert sum(times_run(log).values()) <= 30 + 3  # what the dead worker was at, or had not yet handed over


@needs_dask
def test_a_job_that_kills_its_workers_is_named_and_stops_no_other(cluster, tmp_path):
    found = run_all(deadly, squares(tmp_path), tmp_path / "results", on(cluster), label="jobs")
    assert found.pop("job2")[FAILURE].startswith("job2: every worker that tried it died;")
    assert found == expected(without=("job2",))


@needs_dask
def test_a_job_that_the_workers_cannot_load_says_so(cluster, tmp_path, monkeypatch):
    """For example where they lack the package: joblib alone would wait for ever."""
    (tmp_path / "only_here.py").write_text("def nothing(job):\n    return {}\n")
    monkeypatch.syspath_prepend(tmp_path)
    only_here = importlib.import_module("only_here")
    found = run_all(only_here.nothing, {"one": 1}, tmp_path / "results", on(cluster), label="jobs")
    # A worker that cannot read its task says so, or Dask takes it for dead; either way the job has a sentence.
    sentences = ("one: the cluster could not run it: ModuleNotFoundError: No module named", "one: every worker that")
    assert found["one"][FAILURE].startswith(sentences)


@needs_dask
def test_a_cluster_takes_shards_and_what_is_done_needs_no_cluster(cluster, tmp_path):
    for shard in (1, 2):
        where = Where(backend="dask", scheduler=cluster.scheduler_address, shard=(shard, 2))
        found = run_all(square, squares(tmp_path), tmp_path / "results", where, label="jobs")
    assert found == expected()
    assert times_run(tmp_path / "log") == dict.fromkeys(range(8), 1)
    gone = Where(backend="dask", scheduler=nobody())
    assert run_all(square, squares(tmp_path), tmp_path / "results", gone, label="jobs") == expected()


def nobody():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{unused.getsockname()[1]}"


@needs_dask
@pytest.mark.parametrize("address", ["nobody", "no address at all"])
def test_a_scheduler_that_does_not_answer(address, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "PATIENCE", 0.5)
    address = nobody() if address == "nobody" else address
    with pytest.raises(ConnectionError, match=f"^No scheduler answers at {address}; start one"):
        run_all(square, squares(tmp_path), tmp_path / "results", Where("dask", scheduler=address), label="jobs")


@needs_dask
def test_a_scheduler_without_workers(tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(parallel, "PATIENCE", 0.5)
    with (
        LocalCluster(n_workers=0, dashboard_address=None, silence_logs=50) as cluster,
        pytest.raises(RuntimeError, match=r"^The scheduler at tcp://\S+ has no workers; start some"),
    ):
        run_all(square, squares(tmp_path), tmp_path / "results", on(cluster), label="jobs")


def test_a_cluster_without_dask(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"^--backend dask needs .*: pip install 'gradelib\[dask\]'\.$"):
        run_all(square, squares(tmp_path), tmp_path / "results", Where("dask", scheduler="tcp://a:1"), label="jobs")
