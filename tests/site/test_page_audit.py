"""The audit of the pages finds planted violations and layout shifts, and its command reports them."""

from __future__ import annotations

import json

import pytest

from benchmarks import page_audit
from benchmarks.page_audit import axe_violations, layout_shift


def test_a_violation_is_found(tmp_path, browser):
    browser.emulate()
    page = tmp_path / "page.html"
    page.write_text(
        '<html lang="en"><title>A page</title><main><h1>A page</h1><p style="color: #bbb">Pale</p></main></html>'
    )
    browser.open(page)
    assert [found.partition(":")[0] for found in axe_violations(browser)] == ["color-contrast"]


def test_a_jump_is_measured(tmp_path, browser):
    """A line of 100 pixels before a block as high as half of the screen: the sum that web.dev defines is known."""
    browser.emulate(width=1000, height=1000)
    page = tmp_path / "page.html"
    block = '<body style="margin: 0"><div id="a"></div><div style="height: 500px; background: red"></div>'
    page.write_text(block)
    browser.open(page)
    assert layout_shift(browser) == 0
    late = "requestAnimationFrame(() => requestAnimationFrame(() => {a.style.height = '100px'}))"
    page.write_text(f"{block}<script>{late}</script>")
    browser.open(page)
    # What the block touches before or after is .6 of the screen; it moves by .1 of its height.
    assert layout_shift(browser) == pytest.approx(0.06, abs=1e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("browser")
def test_the_command_prints_and_writes_what_it_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "sys.argv", ["page_audit", "one", "--book", str(tmp_path), "--json", str(tmp_path / "found.json")]
    )
    monkeypatch.setattr(page_audit.shutil, "which", lambda name: None)
    head = '<title>One</title><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += '<link rel="stylesheet" href="look.css">'
    (tmp_path / "look.css").write_text("*")
    page = f'<html lang="en">{head}<main><h1>One</h1><a href="gone.html">There</a></main></html>'
    (tmp_path / "one.html").write_text(page)
    (tmp_path / "two.html").write_text(page)
    page_audit.main()
    found = json.loads((tmp_path / "found.json").read_text())
    printed = capsys.readouterr().out
    assert list(found) == ["one.html"]
    assert found["one.html"]["dead_links"] == ["one.html → gone.html"]
    assert (found["one.html"]["axe"], found["one.html"]["foreign"], found["one.html"]["overflow"]) == ([], [], 0)
    assert found["one.html"]["requests"] == 2
    assert found["one.html"]["loaded_kb"] == pytest.approx(0.001 * (len(page) + len("*")))
    assert "one.html → gone.html" in printed
    assert "Lighthouse was not run" in printed
