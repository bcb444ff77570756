"""The recorded file of an experiment, which is its result and its resume state in one.

`<name>.json` has a head and one line for each row; a row carries a digest of itself. `<name>.npz` has the arrays of the
rows, in float32. Both are written atomically, the arrays first: a row that is there has its arrays.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradelib._files import write_atomically
from gradelib.experiments.experiment import Experiment, Row
from gradelib.experiments.provenance import digest, settings_digest

FOLDER = Path(__file__).parent / "recorded"


class Store:
    """The recorded file of `experiment` in `folder`: what it holds, and how rows are merged into it."""

    def __init__(self, experiment: Experiment, folder: Path | None = None) -> None:
        self.experiment, self.folder = experiment, Path(folder or FOLDER)
        self.path = self.folder / f"{experiment.name}.json"
        self.arrays_path = self.path.with_suffix(".npz")

    def read(self) -> tuple[dict[str, Any], dict[str, Row]]:
        """The head and the rows by their keys; raises ValueError for a file that is cut, altered or of other settings.

        Rows whose job is no longer in the grid are left out.
        """
        if not self.path.exists():
            return {}, {}
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            head, rows = content["head"], content["rows"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{self.path} is cut off or no recorded experiment; {self._restore_it()}.") from None
        if content.get("check") != _check(head):
            raise ValueError(f"The head of {self.path} was altered; {self._restore_it()}.")
        for key, row in rows.items():
            if row.get("check") != _check(row):
                raise ValueError(f"The row {key} of {self.path} was altered; {self._restore_it()}.")
        self._check_settings(head, rows)
        return head, {key: rows[key] for key in self.experiment.jobs if key in rows}

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The arrays by row and name, "key name"; raises ValueError for a file that is cut or altered."""
        if not self.arrays_path.exists():
            return {}
        try:
            with np.load(self.arrays_path) as file:
                return {name: file[name] for name in file.files}
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{self.arrays_path} is cut off or altered; {self._restore_it()}.") from error

    def arrays_of(self, rows: Mapping[str, Row]) -> dict[str, NDArray[np.float32]]:
        """The arrays of these rows; raises ValueError where one is missing or is not what its row says."""
        there = self.arrays()
        checks = {name: (key, check) for key, row in rows.items() for name, check in row["arrays"].items()}
        for name, (key, check) in checks.items():
            if name not in there or digest(there[name].tobytes()) != check:
                raise ValueError(
                    f"{self.arrays_path} does not hold what the row {key} says it does; {self._restore_it()}."
                )
        return {name: there[name] for name in checks}

    def merge(self, key: str, row: Row, arrays: Mapping[str, Any]) -> None:
        """Add a row and its arrays to what is there by now."""
        with self._locked():
            head, rows = self.read()
            named = {f"{key} {name}": np.asarray(value, np.float32) for name, value in arrays.items()}
            if named:
                file = io.BytesIO()
                np.savez_compressed(file, **(self.arrays() | named))  # type: ignore[arg-type]  # none is `allow_pickle`
                write_atomically(self.arrays_path, file.getvalue())
            checks = {name: digest(array.tobytes()) for name, array in named.items()}
            self._write(head, rows | {key: {**row, "arrays": checks}})

    def change_head(self, **entries: Any) -> None:
        """Change entries of the head."""
        with self._locked():
            head, rows = self.read()
            self._write(head | entries, rows)

    def _write(self, head: Mapping[str, Any], rows: Mapping[str, Row]) -> None:
        head = {
            **head,
            "experiment": self.experiment.name,
            "settings": dict(self.experiment.settings),
            "settings_digest": settings_digest(self.experiment.settings),
        }
        lines = ",\n".join(
            f"  {_json(key)}: {_json({**row, 'check': _check(row)})}"
            for key, row in sorted(rows.items(), key=lambda item: list(self.experiment.jobs).index(item[0]))
        )
        text = f'{{\n "head": {_json(head)},\n "check": {_json(_check(head))},\n "rows": {{\n{lines}\n }}\n}}\n'
        write_atomically(self.path, text)

    def _check_settings(self, head: Mapping[str, Any], rows: Mapping[str, Row]) -> None:
        expected = [("", head["settings"], self.experiment.settings)]
        expected += [(f"{key}: ", rows[key]["job"], job) for key, job in self.experiment.jobs.items() if key in rows]
        for where, there, settings in expected:
            here = _plain(dict(settings))
            for name in there | here:
                if there.get(name) != here.get(name):
                    raise ValueError(
                        f"{self.path} holds results of other settings ({where}{name} was {there.get(name)!r} and is "
                        f"{here.get(name)!r}); use another folder with --out, or delete the file to start again."
                    )

    def _restore_it(self) -> str:
        return "take it from version control, or delete it to start again"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Two processes, such as one on a GPU and one on the CPU, merge one after the other."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            import fcntl
        except ImportError:  # no such locks on Windows
            yield
            return
        lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _check(part: Mapping[str, Any]) -> str:
    return digest(_json({name: value for name, value in part.items() if name != "check"}))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=False)


def _plain(value: Any) -> Any:
    """What JSON makes of a value: lists out of tuples."""
    return json.loads(_json(value))
