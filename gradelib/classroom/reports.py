"""What a teacher and each learner get to read: pages, tables and the same as data, from the marks of a class.

Everything here is a function of the marks: no clock, no chance, so the same marks are the same bytes. Names and texts
come from strangers. In HTML the templates escape all of them; in a spreadsheet none of them can become a formula.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gradelib import exercises
from gradelib._colours import LINK, PALETTE, VERDICTS
from gradelib._files import UNFINISHED, write_atomically
from gradelib.classroom.learners import LeftOut
from gradelib.classroom.scores import Row
from gradelib.marker.exercise import Exercise
from gradelib.marker.result import SYMBOLS, WORDS, Result

FOLDER = "reports"  # of the learners' pages, inside the results
_UNMARKED = {"name": "unmarked", "symbol": "–", "word": "Not marked"}
_UNPOSED = {"name": "unposed", "symbol": "·", "word": "Not in the notebook"}
_RARE = (_UNMARKED, _UNPOSED)
STATES = [*({"name": name, "symbol": SYMBOLS[name], "word": word} for name, word in WORDS.items()), *_RARE]
# CSV injection: with these a spreadsheet begins a formula; the last four are the same for keyboards of East Asia.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}  # on Windows
_NAME_BYTES = 120


def write(
    results: Path,
    rows: Mapping[str, Row],
    asked: Sequence[Exercise],
    *,
    posed: bool = False,
    left_out: Sequence[LeftOut] = (),
    questions: Mapping[str, Mapping[str, str]] | None = None,
    folder: str,
) -> dict[str, Any]:
    """Write the reports on the class `rows` (by learner), of the exercises `asked`, into the folder `results`.

    With `posed` a learner's scores are out of the exercises that the notebooks of this learner pose, otherwise out of
    all. `questions` are what single learners were asked by an exercise, where that differs. `reports/` gets a page and
    its data for each learner, and what else it holds of that kind goes. Then come `marks.csv`, `class.html` and
    `class.json`, which is also what is returned. Each file is there whole or not at all.
    """
    names = report_names(rows)
    pages = results / FOLDER
    pages.mkdir(parents=True, exist_ok=True)
    for learner, row in rows.items():
        data = of_learner(row, asked, posed)
        write_atomically(pages / f"{names[learner]}.json", _json(data))
        write_atomically(
            pages / f"{names[learner]}.html", _learner_page(data, asked, (questions or {}).get(learner, {}))
        )
    _remove_stale(pages, set(names.values()))
    data = of_class(rows, asked, posed=posed, left_out=left_out, folder=folder, names=names)
    write_atomically(results / "marks.csv", spreadsheet(data))
    write_atomically(results / "class.html", _page("class.html", **_for_class_page(data)))
    write_atomically(results / "class.json", _json(data))
    return data


def of_learner(row: Row, asked: Sequence[Exercise], posed: bool = False) -> dict[str, Any]:
    """What a learner may see of the marks: nothing of others, and not the seed."""
    marks = []
    for exercise in asked:
        if (mark := row.marks.get(exercise.id)) is not None:
            override = row.overrides.get(exercise.id)
            answer = row.answers.get(exercise.id)
            marks.append({**asdict(mark), "answer": answer, "override": asdict(override) if override else None})
    return {
        "learner": row.learner,
        "files": [
            {"file": file.learner, "sha256": file.sha256, "problem": file.problem, "sandboxed": file.sandboxed}
            for file in row.files
        ],
        "score": row.score,
        "max_score": _worth(row, asked, posed),
        "problem": row.problem,
        "sandboxed": row.sandboxed,
        "marks": marks,
    }


def _worth(row: Row, asked: Sequence[Exercise], posed: bool) -> float | None:
    """What a learner's scores are out of; None where only an unmarked file could say it."""
    if posed and not row.marks:
        return None
    return sum(exercise.max_score for exercise in asked if not posed or exercise.id in row.marks)


def of_class(
    rows: Mapping[str, Row],
    asked: Sequence[Exercise],
    *,
    posed: bool = False,
    left_out: Sequence[LeftOut] = (),
    folder: str,
    names: Mapping[str, str],
) -> dict[str, Any]:
    """The class as data: what `class.json` holds and `class.html` shows. `names` are those of the reports."""
    everyone = [_line(row, asked, posed, f"{FOLDER}/{names[learner]}.html") for learner, row in rows.items()]
    _note_equal_files(everyone)
    points = [line["score"] for line in everyone if line["score"] is not None]
    totals = {line["max_score"] for line in everyone} - {None}
    return {
        "folder": folder,
        "sandboxed": all(row.sandboxed for row in rows.values()),
        "submissions": len(rows),
        "marked": len(points),
        "problems": sum(line["problem"] is not None for line in everyone),
        "mean": fmean(points) if points else None,
        "max_score": totals.pop() if len(totals) == 1 else None,
        "left_out": [asdict(one) for one in left_out],
        "exercises": [_item(exercise, list(rows.values())) for exercise in asked],
        "learners": everyone,
    }


def spreadsheet(data: Mapping[str, Any]) -> str:
    """The marks as a CSV file that spreadsheets open as it is: one row for each learner, one column for each exercise.

    Its columns have the names that learning platforms use. An exercise that was not marked stays empty.
    """
    asked = [item["exercise"] for item in data["exercises"]]
    out = io.StringIO(newline="")
    # All texts in quotes: where lists are separated by semicolons, one in a name would begin a new cell.
    table = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    table.writerow(["student_id", *asked, "score", "max_score", "problem"])
    for line in data["learners"]:
        cells = [_number(line["marks"].get(name)) for name in asked]
        table.writerow(
            [
                _without_formula(line["learner"]),
                *cells,
                _number(line["score"]),
                _number(line["max_score"]),
                _without_formula(line["problem"] or ""),
            ]
        )
    return "\ufeff" + out.getvalue()  # the mark by which a spreadsheet knows UTF-8


def report_names(learners: Iterable[str]) -> dict[str, str]:
    """A file name (without its ending) for each learner that is safe on every file system, and each one's own.

    It is the learner's name where that will do. Elsewhere it is what can be kept of it, and a digest.
    """
    learners = list(learners)
    alike = Counter(_alike(learner) for learner in learners)
    return {learner: _report_name(learner, alone=alike[_alike(learner)] == 1) for learner in learners}


def _report_name(learner: str, *, alone: bool) -> str:
    kept = re.sub(r"[^\w. ]+", "-", unicodedata.normalize("NFC", learner)).strip("-. ")
    kept = kept.encode()[:_NAME_BYTES].decode(errors="ignore")
    # What ends like a digest gets one, so that nobody can choose a name that is another's.
    if alone and kept == learner and kept.lower().split(".")[0] not in _RESERVED and not _ends_like_digest(kept):
        return kept
    return f"{kept}-{sha256(learner.encode()).hexdigest()[:12]}".lstrip("-")


def _ends_like_digest(name: str) -> bool:
    return re.search(r"(^|-)[0-9a-f]{12}$", name) is not None


def _alike(learner: str) -> str:
    """Names with the same of these are one file where case, or the way to write an umlaut, does not count."""
    return unicodedata.normalize("NFC", learner).casefold()


# --- one learner, one exercise


def _line(row: Row, asked: Sequence[Exercise], posed: bool, report: str) -> dict[str, Any]:
    """A learner's line in the report on the class."""
    own = of_learner(row, asked, posed)
    marks = {mark["exercise"]: mark["score"] for mark in own["marks"]}
    none = "unposed" if posed and row.marks else "unmarked"
    states = dict.fromkeys((exercise.id for exercise in asked), none)
    states |= {mark["exercise"]: mark["state"] for mark in own["marks"]}
    line = {name: own[name] for name in ("learner", "files", "score", "max_score", "problem", "sandboxed")}
    return {**line, "report": report, "marks": marks, "states": states, "same_file_as": []}


def _note_equal_files(everyone: list[dict[str, Any]]) -> None:
    """Note in each line the other learners who handed in one of its files to the byte."""
    owners: dict[str, set[str]] = {}
    for line in everyone:
        for file in line["files"]:
            if line["marks"]:
                owners.setdefault(file["sha256"], set()).add(line["learner"])
    for line in everyone:
        if line["marks"]:
            same = set().union(*(owners[file["sha256"]] for file in line["files"])) - {line["learner"]}
            line["same_file_as"] = [other["learner"] for other in everyone if other["learner"] in same]


def _item(exercise: Exercise, everyone: Sequence[Row]) -> dict[str, Any]:
    """An exercise's line in the report on the class: how many got it, what went wrong, and the wrong answers."""
    marked = [(row, row.marks[exercise.id]) for row in everyone if exercise.id in row.marks]
    states = Counter[str](mark.state for _, mark in marked)
    return {
        "exercise": exercise.id,
        "chapter": _chapters().get(exercise.id),
        "prompt": exercise.question,
        "max_score": exercise.max_score,
        **{state: states[state] for state in WORDS},
        "unmarked": sum(not row.marks for row in everyone),
        "unposed": sum(bool(row.marks) and exercise.id not in row.marks for row in everyone),
        "mean": fmean(mark.score for _, mark in marked) if marked else None,
        "mistakes": _mistakes(mark for _, mark in marked if mark.state == "incorrect"),
        "answers": _wrong_answers(exercise.id, marked),
    }


def _wrong_answers(name: str, marked: Iterable[tuple[Row, Result]]) -> list[dict[str, Any]]:
    """Each answer that was wrong or could not be read, as it was given, with its learners; the most frequent first."""
    found: dict[str, dict[str, Any]] = {}
    for row, mark in marked:
        if mark.state in ("incorrect", "unreadable") and (answer := row.answers.get(name)):
            entry: dict[str, Any] = {
                "answer": answer,
                "state": mark.state,
                "mistake": mark.mistake,
                "times": 0,
                "learners": [],
            }
            found.setdefault(answer, entry)["learners"].append(row.learner)
            found[answer]["times"] += 1
    return sorted(found.values(), key=lambda entry: (-entry["times"], entry["answer"]))


def _mistakes(wrong: Iterable[Result]) -> list[dict[str, Any]]:
    """Each mistake with how often it was made, the most frequent first; what is like nothing known comes last."""
    wrong = list(wrong)
    times = Counter(mark.mistake for mark in wrong)
    hints = {mark.mistake: mark.text for mark in wrong if mark.mistake is not None}
    ordered = sorted(times, key=lambda name: (name is None, -times[name], name or ""))
    return [{"mistake": name, "hint": name and hints.get(name), "times": times[name]} for name in ordered]


@cache
def _chapters() -> dict[str, int]:
    return {exercise.id: chapter for chapter in exercises.CHAPTERS for exercise in exercises.of_chapter(chapter)}


# --- pages and cells


def _learner_page(data: Mapping[str, Any], asked: Sequence[Exercise], own: Mapping[str, str]) -> str:
    prompts = {**{exercise.id: exercise.question for exercise in asked}, **own}
    results = [
        Result(**{name: value for name, value in mark.items() if name not in ("answer", "override")})
        for mark in data["marks"]
    ]
    marks = [
        {
            **mark,
            "chapter": _chapters().get(mark["exercise"]),
            "prompt": prompts[mark["exercise"]],
            "verdict": Markup(result._repr_html_()),  # which escapes what it shows
        }
        for mark, result in zip(data["marks"], results, strict=True)
    ]
    return _page("learner.html", **{**data, "marks": marks})


def _for_class_page(data: Mapping[str, Any]) -> dict[str, Any]:
    learners = [{**line, "report": quote(line["report"])} for line in data["learners"]]
    rare = [state for state in _RARE if any(item[state["name"]] for item in data["exercises"])]
    shown = [state for state in STATES if state not in _RARE or state in rare]
    problems = [line for line in learners if line["problem"]]
    return {
        **data,
        "learners": learners,
        "problems": problems,
        "states": shown,
        "by_name": {s["name"]: s for s in STATES},
    }


def _page(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(**values)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    templates.globals |= {"palette": PALETTE, "link": LINK, "verdicts": VERDICTS}
    templates.filters["number"] = lambda value: f"{round(value, 2):g}"
    templates.filters["counted"] = lambda value, thing: f"{value} {thing}{'' if value == 1 else 's'}"
    return templates


def _number(value: float | None) -> float | str:
    return "" if value is None else value


def _without_formula(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


# --- files


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def _remove_stale(pages: Path, names: set[str]) -> None:
    """Remove the reports on learners who are no longer there, and what a killed run left unfinished."""
    for path in pages.iterdir():
        if path.suffix in (".html", ".json", UNFINISHED) and path.stem not in names:
            path.unlink()
