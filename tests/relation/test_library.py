"""Compiling C files of the package, and every way in which that can fail."""

import shutil

import pytest

from crcd.errors import CrcdError
from crcd.relation.kernels import library

SOURCE = "int answer(void) { return 42; }\n"
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no cc, gcc or clang"
)


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "answer.c"
    path.write_text(SOURCE)
    return path


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def cached(tmp_path):
    return sorted((tmp_path / "cache" / "crcd").iterdir())


@needs_compiler
def test_compiled_once(source, tmp_path, monkeypatch):
    assert library.load(source).answer() == 42
    (file,) = cached(tmp_path)
    made = file.stat().st_mtime_ns
    assert library.load(source).answer() == 42
    assert file.stat().st_mtime_ns == made
    source.write_text(SOURCE.replace("42", "43"))
    assert library.load(source).answer() == 43
    assert len(cached(tmp_path)) == 2


@needs_compiler
def test_a_broken_file_is_made_anew(source, tmp_path):
    library.load(source)
    (file,) = cached(tmp_path)
    file.unlink()  # a loaded library must not be written over
    file.write_bytes(b"no library")
    assert library.load(source).answer() == 42
    assert cached(tmp_path) == [file]


@needs_compiler
def test_without_a_place_for_the_cache(source, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert library.load(source).answer() == 42


def test_no_compiler(source, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CrcdError, match=r"no C compiler.*variable CC"):
        library.load(source)


@needs_compiler
def test_source_that_does_not_compile(source, tmp_path):
    source.write_text("int answer(void) { return unknown; }\n")
    with pytest.raises(CrcdError, match=r"the C compiler cc failed: .*answer.c"):
        library.load(source)
    assert cached(tmp_path) == []


def test_compiler_that_fails(source, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", script(tmp_path / "mycc", "echo 'no licence' >&2; exit 3"))
    with pytest.raises(CrcdError, match="mycc failed: no licence"):
        library.load(source)


def test_compiler_that_makes_something_else(source, tmp_path, monkeypatch):
    """It writes a text wherever it is told to by -o."""
    monkeypatch.setenv(
        "CC", script(tmp_path / "mycc", 'while [ $# -gt 0 ]; do [ "$1" = -o ] && echo text > "$2"; shift; done; true')
    )
    with pytest.raises(CrcdError, match="cannot be loaded"):
        library.load(source)


def test_compiler_that_does_not_start(source, tmp_path, monkeypatch):
    path = tmp_path / "mycc"
    path.write_bytes(b"\x7fELF no program")
    path.chmod(0o755)
    monkeypatch.setenv("CC", str(path))
    with pytest.raises(CrcdError, match="mycc does not start"):
        library.load(source)
