"""Atomic writes: the old file or the new one, whatever happens."""

import os

import pytest

from gradelib._files import create_atomically, write_atomically


@pytest.mark.parametrize(("old", "new"), [("ältere", "neuer"), (b"\0old", b"\0new")])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(old, new, tmp_path, monkeypatch):
    file = tmp_path / "file"
    write_atomically(file, old)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_atomically(file, new)
    content = file.read_text("utf-8") if isinstance(old, str) else file.read_bytes()
    assert (content, os.listdir(tmp_path)) == (old, ["file"])


@pytest.mark.parametrize("links", [True, False])
def test_of_two_that_create_a_file_the_first_wins(links, tmp_path, monkeypatch):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError))
    for content in ("first", "second"):
        create_atomically(tmp_path / "file", content)
    assert ((tmp_path / "file").read_text(), os.listdir(tmp_path)) == ("first", ["file"])
