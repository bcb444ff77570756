"""An exercise as data for a page: the same points as Python's, small, and with a revision that means something."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace

import marker_corpus as corpus
import numpy as np
import pytest
from marker_page import MarkerPage, served_script

from gradelib import exercises
from gradelib.marker.diagnosis import trial_points
from gradelib.marker.exercise import Mistake
from gradelib.marker.page import language_data, page_data

MOST = 25_000  # bytes, compressed: the script, the language and a chapter's exercises


def as_served(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("chapter", exercises.CHAPTERS)
def test_a_page_is_small(chapter: int, record_property: Callable) -> None:
    marked = [exercise for exercise in exercises.of_chapter(chapter) if exercise.function is None]
    data = {exercise.id: page_data(exercise) for exercise in marked}
    size = sum(
        len(gzip.compress(text.encode(), 6)) for text in (served_script(), as_served(language_data()), as_served(data))
    )
    assert size <= MOST
    record_property("measured", f"page's marker, chapter {chapter:2}: {size:,} bytes compressed")


def test_the_page_s_points_are_python_s(page: MarkerPage) -> None:
    """Each input has the value that Python gives it, up to the last digits of an inverse."""
    for exercise in corpus.FORMULAS:
        points = trial_points(exercise)
        found = page.browser.run(
            "const [id, names] = arguments; const exercise = marker.exercises.get(id); exercise.prepare();"
            "return exercise.points.map(({ values }) => names.map((name) => values.get(name)))",
            exercise.id,
            [*exercise.names],
        )
        for point, values in zip(points, found, strict=True):
            told = point.values()
            for name, value in zip(exercise.names, values, strict=True):
                shape = value["shape"] if isinstance(value, dict) else ()
                numbers = value["data"] if isinstance(value, dict) else value
                assert tuple(shape) == np.shape(told[name])
                np.testing.assert_allclose(np.reshape(numbers, shape), told[name], rtol=1e-12, atol=1e-14)


def test_the_right_answer_is_finite_at_every_point_that_decides(page: MarkerPage) -> None:
    for exercise in corpus.FORMULAS:
        data = page_data(exercise)
        assert all(n != d for n, d in data["sizes"][: data["compared"]])
        finite = (
            "const one = marker.exercises.get(arguments[0]); one.prepare(); return one.right.map((x) => x !== null)"
        )
        assert page.browser.run(finite, exercise.id) == [True] * len(data["sizes"])


def test_the_revision_changes_with_the_answer_and_not_with_the_words() -> None:
    exercise = exercises.get("opt-cov")
    revision = page_data(exercise)["revision"]
    assert page_data(replace(exercise, mistakes=(Mistake("J", "Other words."),)))["revision"] == revision
    assert page_data(replace(exercise, answer="J"))["revision"] != revision
    assert page_data(replace(exercise, inputs={**exercise.inputs, "beta": "real"}))["revision"] != revision
    revisions = [page_data(one)["revision"] for one in (*corpus.FORMULAS, *corpus.CHOICES)]
    assert len({*revisions}) == len(revisions)


def test_a_function_exercise_is_refused() -> None:
    function = next(exercise for exercise in exercises.every() if exercise.function is not None)
    with pytest.raises(ValueError, match="asks for a function, which a page cannot mark"):
        page_data(function)
