"""The same answers get the same verdicts in three engines, from file://, where scripts may do least."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.engines  # `test_answer_fields.py` tries Chromium

# Types an answer and submits it; returns the state, the verdict and what was read.
SUBMIT = """
const form = document.querySelector('[data-exercise="beta-objective"] form');
const box = form.querySelector('input[type="text"]');
box.focus();
box.value = arguments[0];
box.dispatchEvent(new Event("input", {bubbles: true}));
form.requestSubmit();
for (let tries = 0; tries < 50 && !form.dataset.state; tries += 1) await new Promise((done) => setTimeout(done, 100));
const read = form.parentElement.querySelector(".gl-read math");
return [form.dataset.state, form.parentElement.querySelector(".gl-verdict").textContent.length > 20,
  read !== null && read.getBoundingClientRect().width > 10]"""


@pytest.fixture(scope="module")
def opened(engine, built_book):
    engine.open((built_book / "book/01-beta-vae.html").as_uri())
    return engine


@pytest.mark.parametrize(
    ("text", "state", "is_set"),
    [
        ("beta*K - logp", "correct", True),
        ("logp - beta*K", "incorrect", True),
        ("exp(K)*7 + logp", "incorrect", True),
        ("2K + logp", "unreadable", False),
        ("(1 + 1e-8)*(β·K − logp)", "undecided", True),
    ],
)
def test_an_answer_gets_its_state(opened, text, state, is_set):
    assert opened.run(SUBMIT, text) == [state, True, is_set]
