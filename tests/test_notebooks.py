"""The notebooks run from top to bottom, in short form, and are kept without what they gave."""

import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SHORT = {
    "distil_your_folder": 'FOLDER, OUT, DEVICE = None, "run", "cpu"\nIMAGE_SIZE, LABELLED, EPOCHS = 16, 250, 2\n'
    'TEACHER, STUDENT = "resnet8", "resnet8"',
    "inside_the_relations": "EPOCHS, ANCHORS = 2, 20",
}
PICTURES = {"distil_your_folder": 2, "inside_the_relations": 4}

nbformat = pytest.importorskip("nbformat", reason='the extra is absent: pip install ".[docs]"')


def read(name):
    return nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)


def test_all_notebooks_are_tested():
    assert {path.stem for path in EXAMPLES.glob("*.ipynb")} == SHORT.keys()


@pytest.mark.parametrize("name", SHORT)
def test_they_are_kept_without_outputs(name):
    for cell in read(name).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_they_run(name, tmp_path, monkeypatch):
    client = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES), prepend=":")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    book = read(name)
    (parameters,) = (cell for cell in book.cells if "parameters" in cell.metadata.get("tags", ()))
    parameters.source = SHORT[name]
    client.NotebookClient(book, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PICTURES[name]
    text = "".join(output.get("text", "") for output in outputs)
    if name == "distil_your_folder":
        shown, again = re.findall(r"crcd\+itrd .*top-1 ([\d.]+)|^top-1 ([\d.]+) %$", text, flags=re.MULTILINE)
        assert shown[0] == again[1], "the student that was read back is the one that was scored"
    else:
        means = dict(re.findall(r"^(\w+ +\w+) +positives (-?[\d.]+)", text, flags=re.MULTILINE))
        assert float(means["after   feature"]) > float(means["before  feature"]) + 0.1
