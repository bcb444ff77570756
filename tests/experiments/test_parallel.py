"""Many jobs: each recorded once, none lost, resumed after any end, on this machine and on a Dask cluster."""

import argparse
import importlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psutil
import pytest

from gradelib import parallel
from gradelib.parallel import FAILURE, Where, run_all, run_jobs

ONE, TWO = Where(workers=1), Where(workers=2)


# --- what the jobs are: functions that a worker can import, and that leave a mark each time they are run


def square(job):
    log, number = job
    log.mkdir(parents=True, exist_ok=True)
    (log / f"{number}-{os.getpid()}-{time.time_ns()}").touch()
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
    """Number 2 kills its worker only the first time; number 7, the last, each time.

    So the death of number 7 cannot take number 2 along before that has begun.
    """
    log, number = job
    first = not list(log.glob(f"{number}-*"))
    result = square(job)
    if number == 7 or (number == 2 and first):
        psutil.Process().kill()
    return result


def no_json(job):
    return {"result": object()}


def squares(tmp_path, count=8):
    return {f"job{number}": (tmp_path / "log", number) for number in range(count)}


def expected(count=8, without=()):
    found = {f"job{number}": {"square": number**2, "third": number / 3} for number in range(count)}
    return {key: result for key, result in found.items() if key not in without}


def times_run(log):
    return Counter(int(mark.name.split("-")[0]) for mark in log.iterdir())


def worker_of(mark):
    return int(mark.name.split("-")[1])


class Recorder:
    """What was recorded, in the order in which it came, and by which thread."""

    def __init__(self):
        self.table, self.threads = [], set()

    def __call__(self, key, result):
        self.table.append((key, result))
        self.threads.add(threading.get_ident())

    def assert_each_once(self, results):
        assert sorted(self.table) == sorted(results.items())
        assert self.threads == {threading.get_ident()}


def run(function, jobs, where=TWO, **options):
    recorder = Recorder()
    return recorder, run_jobs(function, jobs, where, record=recorder, label="jobs", **options)


@contextmanager
def killing_a_worker(log, after):
    """Kill the worker of the latest job when `after` jobs have begun."""

    def kill():
        wait_for(lambda: log.exists() and len(list(log.iterdir())) >= after)
        psutil.Process(worker_of(max(log.iterdir(), key=lambda mark: mark.name.split("-")[2]))).kill()

    killer = threading.Thread(target=kill)
    killer.start()
    yield
    killer.join()


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


# --- on this machine


def test_each_job_is_recorded_once_in_the_callers_thread(tmp_path):
    assert run(square, {})[1] == {}
    recorder, failures = run(square, squares(tmp_path))
    assert failures == {}
    recorder.assert_each_once(expected())
    assert times_run(tmp_path / "log") == dict.fromkeys(range(8), 1)


def test_what_is_done_is_not_run_again_and_shards_are_parts_of_all(tmp_path):
    tables = []
    for shard in (1, 2, 3):
        recorder, _ = run(square, squares(tmp_path), Where(workers=1, shard=(shard, 3)), done={"job4"})
        tables += recorder.table
    assert sorted(tables) == sorted(expected(without=("job4",)).items())
    assert times_run(tmp_path / "log") == dict.fromkeys([0, 1, 2, 3, 5, 6, 7], 1)


def test_a_job_that_raises_is_a_sentence_and_stops_no_other(tmp_path):
    recorder, failures = run(fragile, squares(tmp_path))
    assert failures["job3"].sentence == "job3: KeyError: 'no such thing'"
    assert "in fragile" in failures["job3"].traceback
    assert failures["job5"].sentence == "job5: SystemExit: enough"
    recorder.assert_each_once(expected(without=failures))


class Breaking(Executor):
    """It breaks at its first task, and goes on taking tasks for a moment."""

    def submit(self, task):
        future = Future()
        future.set_exception(BrokenExecutor("a worker died"))
        return future


def test_a_broken_executor_gets_no_more_tasks():
    taken = parallel._completed(Breaking(), {"one": None, "two": None}, window=1)
    assert [key for key, _ in taken] == ["one"]


@pytest.mark.parametrize("workers", [2, *(pytest.param(count, marks=pytest.mark.slow) for count in (1, 3))])
def test_a_job_that_kills_its_worker_is_named_and_stops_no_other(workers, tmp_path):
    """One job kills every worker that tries it, another one only the first; which it was nobody says."""
    recorder, failures = run(deadly, squares(tmp_path), Where(workers=workers))
    assert [failure.sentence for failure in failures.values()] == [
        "job7: its worker died, also when it ran alone; it may need more memory."
    ]
    recorder.assert_each_once(expected(without=("job7",)))
    counts = times_run(tmp_path / "log")
    assert 2 <= counts[7] <= 3
    assert max(counts.values()) <= 4


def test_jobs_in_flight_when_a_worker_dies_run_again(tmp_path):
    with killing_a_worker(tmp_path / "log", after=6):
        recorder, failures = run(slow_square, squares(tmp_path, 20))
    assert failures == {}
    recorder.assert_each_once(expected(20))
    assert 20 < times_run(tmp_path / "log").total() <= 20 + 2


def test_what_record_raises_ends_the_run(tmp_path):
    def full(key, result):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_jobs(slow_square, squares(tmp_path, 20), TWO, record=full, label="jobs")
    marks = list((tmp_path / "log").iterdir())
    assert len(marks) < 20
    assert not any(psutil.pid_exists(worker_of(mark)) for mark in marks)
    recorder, _ = run(square, squares(tmp_path / "again"))  # with new processes
    recorder.assert_each_once(expected())


def test_a_worker_has_one_thread_and_draws_no_bar(monkeypatch):
    for name in ("OMP_NUM_THREADS", "TQDM_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    recorder, _ = run(os.getenv, {"threads": "OMP_NUM_THREADS", "bar": "TQDM_DISABLE"})
    recorder.assert_each_once({"threads": "1", "bar": "1"})


# --- results in a folder


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_each_result_is_kept_in_its_file_and_not_made_again(tmp_path):
    folder = tmp_path / "a" / "results"
    for count in (6, 8, 8):
        found = run_all(square, squares(tmp_path, count), folder, TWO, label="jobs")
        assert list(found.items()) == list(expected(count).items())
    assert times_run(tmp_path / "log") == dict.fromkeys(range(8), 1)
    assert files_in(folder) == [f"job{number}.json" for number in range(8)]
    assert json.loads((folder / "job7.json").read_text()) == expected()["job7"]


def test_a_failure_is_in_its_file_and_is_tried_again(tmp_path):
    for times in (1, 2):
        found = run_all(fragile, squares(tmp_path), tmp_path / "results", TWO, label="jobs")
        assert found.pop("job3")[FAILURE] == "job3: KeyError: 'no such thing'"
        assert "in fragile" in found.pop("job5")["traceback"]
        assert found == expected(without=("job3", "job5"))
        assert times_run(tmp_path / "log") == dict.fromkeys(range(8), 1) | {3: times, 5: times}


def test_a_result_that_is_no_json_is_a_failure(tmp_path):
    found = run_all(no_json, {"two": None}, tmp_path, ONE, label="jobs")
    assert found["two"][FAILURE] == "two: TypeError: Object of type object is not JSON serializable"


def test_an_unreadable_result_is_made_again(tmp_path):
    run_all(square, squares(tmp_path, 3), tmp_path / "results", ONE, label="jobs")
    (tmp_path / "results" / "job1.json").write_text('{"square": ')
    assert run_all(square, squares(tmp_path, 3), tmp_path / "results", ONE, label="jobs") == expected(3)
    assert times_run(tmp_path / "log") == {0: 1, 1: 2, 2: 1}


RUN = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_parallel import Where, run_all, slow_square, squares
folder = Path({folder!r})
run_all(slow_square, squares(folder, 20), folder / "results", Where(workers=1, shard={shard}), label="jobs")
"""


@contextmanager
def ended_as_a_group(command, **options):
    """A process that is gone in the end with all that it started."""
    if not hasattr(os, "killpg"):
        pytest.skip("needs process groups, which Windows does not have")
    process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def another_process(folder, shard=None):
    """The same jobs in a process of its own."""
    script = RUN.format(tests=str(Path(__file__).parent), folder=str(folder), shard=shard)
    with ended_as_a_group([sys.executable, "-c", script]) as process:
        yield process


def test_a_killed_run_resumes_and_does_nothing_again(tmp_path):
    def results():
        return {path.stem: json.loads(path.read_text()) for path in (tmp_path / "results").glob("job*.json")}

    with another_process(tmp_path) as process:
        wait_for(lambda: len(results()) >= 3)
        process.kill()
        process.wait()
    done = results()
    assert 3 <= len(done) < 20
    assert run_all(square, squares(tmp_path, 20), tmp_path / "results", TWO, label="jobs") == expected(20)
    counts = times_run(tmp_path / "log")
    assert {key: counts[int(key[3:])] for key in done} == dict.fromkeys(done, 1)
    assert counts.total() <= 20 + 2  # at most what was in flight was begun twice


def test_two_shards_at_a_time_do_not_disturb_each_other(tmp_path):
    with another_process(tmp_path, (1, 2)) as first, another_process(tmp_path, (2, 2)) as second:
        assert (first.wait(60), second.wait(60)) == (0, 0)
    assert files_in(tmp_path / "results") == sorted(f"job{number}.json" for number in range(20))
    assert run_all(square, squares(tmp_path, 20), tmp_path / "results", ONE, label="jobs") == expected(20)
    assert times_run(tmp_path / "log") == dict.fromkeys(range(20), 1)


# --- the bar and the options


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_is_for_those_who_watch(tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    run(square, squares(tmp_path, 2), ONE)
    assert capfd.readouterr() == ("", "")

    def seen(function=square, **options):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        run(function, squares(tmp_path, 6), ONE, **options)
        return terminal.getvalue()

    assert "jobs: 100%" in seen()
    assert "failed=2" in seen(fragile)
    assert seen(quiet=True) == ""
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert seen() == ""


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
        (["--workers", "0"], "--workers must be a whole number of at least 1, but it is '0'"),
        (["--workers", "two"], "--workers must be a whole number of at least 1, but it is 'two'"),
        (["--backend", "dusk"], "no backend called 'dusk'. Did you mean 'dask'?"),
        (["--backend", "dask"], "--backend dask needs --scheduler ADDRESS"),
        (["--scheduler", "tcp://10.0.0.1:8786"], "so it needs --backend dask, too"),
        (["--backend", "dask", "--scheduler", "a:1", "--workers", "2"], "--workers counts processes on this machine"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match="^[^\n]*" + sentence.replace("?", r"\?")):
        options(*arguments)


# --- on a Dask cluster, started as a user starts it


@contextmanager
def dask(*arguments):
    """A process of Dask's command line, which finds the functions above."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-m", "dask", *map(str, arguments), "--no-dashboard"]
    with ended_as_a_group(command, env=environment, stderr=subprocess.DEVNULL) as process:
        yield process


@contextmanager
def scheduler(folder):
    """The process of a scheduler on a free port, and its address."""
    pytest.importorskip("distributed", reason="needs the package distributed, for a Dask cluster")
    file = folder / "scheduler.json"
    with dask("scheduler", "--host", "127.0.0.1", "--port", 0, "--scheduler-file", file) as process:
        wait_for(lambda: file.exists() and file.read_text().endswith("}"))
        yield process, json.loads(file.read_text())["address"]


@contextmanager
def workers(address, count):
    """Worker processes, once they have joined; Dask starts one again when it dies."""
    from distributed import Client

    with dask("worker", address, "--nworkers", count, "--nthreads", 1):
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)
        yield


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with scheduler(tmp_path_factory.mktemp("cluster")) as (_, address), workers(address, 3):
        yield Where("dask", scheduler=address)


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_records_the_table_of_one_process(cluster, tmp_path):
    """One worker is killed while all of them work."""
    log = tmp_path / "log"
    with killing_a_worker(log, after=8):
        recorder, failures = run(slow_square, squares(tmp_path, 40), cluster)
    assert failures == {}
    recorder.assert_each_once(expected(40))
    alone, _ = run(square, squares(tmp_path / "alone", 40), ONE)
    assert sorted(recorder.table) == sorted(alone.table)
    assert len({worker_of(mark) for mark in log.iterdir()}) >= 3
    assert 40 < times_run(log).total() <= 40 + 4  # what the dead worker was at, or had not yet handed over


@pytest.mark.slow
def test_a_job_that_kills_workers_of_a_cluster_is_named_and_stops_no_other(cluster, tmp_path):
    recorder, failures = run(deadly, squares(tmp_path), cluster)
    assert {key: failure.sentence for key, failure in failures.items()} == {
        "job7": "job7: its worker died, also when it ran alone; it may need more memory."
    }
    recorder.assert_each_once(expected(without=("job7",)))


class Losing(Executor):
    """Runs a task at once, and loses the results of the first that it gets."""

    def __init__(self, losses):
        self.losses = losses

    def submit(self, task):
        future = Future()
        self.losses -= 1
        if self.losses >= 0:
            future.set_exception(ValueError("not enough values to unpack"))
        else:
            future.set_result(task())
        return future


@pytest.mark.parametrize(("losses", "failed"), [(2, []), (99, ["job0", "job1", "job2"])])
def test_a_result_that_a_cluster_lost_is_made_again_once(losses, failed, tmp_path, monkeypatch):
    executor = Losing(losses)
    monkeypatch.setattr(parallel, "_cluster", lambda address: nullcontext(executor))
    recorder, failures = run(square, squares(tmp_path, 3), Where("dask", scheduler="nowhere"))
    assert list(failures) == failed
    assert all("it could not be run: ValueError" in failure.sentence for failure in failures.values())
    assert len(recorder.table) == 3 - len(failed)
    assert executor.losses == losses - (6 if failed else 5)


def test_a_job_that_the_workers_cannot_load_says_so(cluster, tmp_path, monkeypatch):
    """For example where they lack the package."""
    (tmp_path / "only_here.py").write_text("def nothing(job):\n    return {}\n")
    monkeypatch.syspath_prepend(tmp_path)
    only_here = importlib.import_module("only_here")
    _, failures = run(only_here.nothing, {"one": 1}, cluster)
    assert failures["one"].sentence.startswith("one: it could not be run: ")


def test_a_cluster_takes_shards_and_what_is_done_needs_no_cluster(cluster, tmp_path):
    for shard in (1, 2):
        where = Where("dask", scheduler=cluster.scheduler, shard=(shard, 2))
        found = run_all(square, squares(tmp_path), tmp_path / "results", where, label="jobs")
    assert found == expected()
    assert times_run(tmp_path / "log") == dict.fromkeys(range(8), 1)
    gone = Where("dask", scheduler=nobody())
    assert run_all(square, squares(tmp_path), tmp_path / "results", gone, label="jobs") == expected()


def nobody():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.slow
def test_a_scheduler_that_goes_away_keeps_what_is_done(tmp_path):
    recorder = Recorder()

    def kill_after_three(key, result):
        recorder(key, result)
        if len(recorder.table) == 3:
            process.kill()

    with scheduler(tmp_path) as (process, address), workers(address, 1):
        where = Where("dask", scheduler=address)
        with pytest.raises(ConnectionError, match=rf"^The scheduler at {address} went away; the same command goes on"):
            run_jobs(slow_square, squares(tmp_path, 30), where, record=kill_after_three, label="jobs")
    assert 3 <= len(recorder.table) < 30


@pytest.mark.parametrize("address", ["nobody", "no address at all"])
def test_a_scheduler_that_does_not_answer(address, tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="needs the package distributed, for a Dask cluster")
    monkeypatch.setattr(parallel, "PATIENCE", 0.5)
    address = nobody() if address == "nobody" else address
    with pytest.raises(ConnectionError, match=f"^No scheduler answers at {address}; start one"):
        run(square, squares(tmp_path), Where("dask", scheduler=address))


def test_a_scheduler_without_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "PATIENCE", 0.5)
    with (
        scheduler(tmp_path) as (_, address),
        pytest.raises(RuntimeError, match=r"^The scheduler at tcp://\S+ has no workers; start some"),
    ):
        run(square, squares(tmp_path), Where("dask", scheduler=address))


def test_a_cluster_without_dask(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"^--backend dask needs .*: pip install distributed\.$"):
        run(square, squares(tmp_path), Where("dask", scheduler="tcp://a:1"))
