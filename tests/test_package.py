"""What a user's type checker sees of the package."""

import subprocess
import sys

import pytest

OWN_CODE = """
import crcd

criterion = crcd.CRCDLoss(64, 256, crcd.RelationConfig(temperature="warm"))
"""


@pytest.mark.slow
def test_types_reach_the_users_type_checker(tmp_path):
    """Without the marker py.typed all of the package would be Any, and this mistake no mistake."""
    (tmp_path / "own.py").write_text(OWN_CODE)
    command = [sys.executable, "-m", "mypy", "--no-incremental", "own.py"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert 'own.py:4: error: Argument "temperature" to "RelationConfig" has incompatible type "str"' in found.stdout
    assert "Found 1 error in 1 file" in found.stdout
