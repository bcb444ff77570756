"""Whose is a file? From the paths in a folder of submissions to learners, and what is left out, with the reason."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradelib._text import printable

# How learning platforms name what they hand out. What is in the brackets is the learner's id, the parts joined by "_".
PRESETS = {
    # Ada Lovelace_1234567_assignsubmission_file_/ps1.ipynb, or the same without a folder for each learner
    "moodle": r"(?:^|/)([^/]+_\d+)_assignsubmission_",
    # lovelaceada_4711_90210_ps1.ipynb, and lovelaceada_LATE_4711_90210_ps1-1.ipynb
    "canvas": r"(?:^|/)([^/_]+)_(?:LATE_|late_)?(\d+)_\d+_[^/]*$",
    # submitted/ada/ps1/06-optimal-covariance.ipynb, in the folder of the course or in `submitted` itself
    "nbgrader": r"^(?:submitted/)?(?!(?:source|release|autograded|feedback|submitted)/)([^/]+)/[^/]+/[^/]+$",
}
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


@dataclass(frozen=True)
class LeftOut:
    """A file that is not marked, by its path in the folder, and one sentence on why."""

    file: str
    why: str


def pattern(text: str | None) -> re.Pattern[str] | None:
    """The pattern of `--learner`: a preset or a regular expression; raises ValueError for what is neither."""
    if text is None:
        return None
    try:
        found = re.compile(PRESETS.get(text, text))
    except re.error as error:
        names = ", ".join(PRESETS)
        raise ValueError(f"--learner must be a regular expression, or one of {names}: {error}.") from None
    if not found.groups:
        raise ValueError(f"--learner needs brackets around the part that is the learner's id, but it is {text!r}.")
    return found


def sort(folder: Path, learner: re.Pattern[str] | None, without: Path) -> tuple[dict[str, list[Path]], list[LeftOut]]:
    """The notebooks in `folder` and below by learner, in the order of their names, and the files left out.

    A learner is what the brackets of `learner` hold in the path; without it, each file is a learner of its own. Hidden
    files and the folder `without` are passed over. Raises OSError where a subfolder cannot be listed.
    """
    found: dict[str, list[Path]] = {}
    left_out = []
    for path in sorted(_files(folder, without)):
        name = path.relative_to(folder)
        if not name.name.lower().endswith(".ipynb"):
            left_out.append(LeftOut(printable(name.as_posix()), _why_no_notebook(name.name.lower())))
        elif learner is None:
            one = printable(name.with_suffix("").as_posix())
            found[printable(name.as_posix()) if one in found else one] = [path]
        elif match := learner.search(name.as_posix()):
            found.setdefault(printable("_".join(part for part in match.groups() if part)), []).append(path)
        else:
            left_out.append(LeftOut(printable(name.as_posix()), "--learner finds no learner in its name."))
    return found, left_out


def in_order(names: Sequence[str]) -> list[str]:
    """Learners by name, without regard to case."""
    return sorted(names, key=lambda name: (name.casefold(), name))


def _files(folder: Path, without: Path) -> Iterator[Path]:
    for parent, subfolders, files in os.walk(folder, onerror=_raise):  # which follows no links
        subfolders[:] = [
            name for name in subfolders if not name.startswith(".") and Path(parent, name).resolve() != without
        ]
        yield from (Path(parent, name) for name in files if not name.startswith("."))


def _raise(error: OSError) -> None:
    """A subfolder that cannot be listed may hold someone's work."""
    raise error


def _why_no_notebook(name: str) -> str:
    if ".ipynb" in name:
        return "Its name does not end in .ipynb; rename it if it is a notebook."
    if name.endswith(_ARCHIVES):
        return "It is an archive; unpack it first."
    return "It is no notebook."
