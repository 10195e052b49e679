"""The public list is exact, and importing the package or asking for help is cheap."""

import subprocess
import sys

import pytest

import unspool


def test_the_public_list_is_exact():
    assert sorted(unspool.__all__) == dir(unspool) == sorted([*unspool._HOMES, "__version__"])
    for name in unspool.__all__:
        assert getattr(unspool, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Transformer'"):
        _ = unspool.Transformer  # type: ignore[attr-defined]


@pytest.mark.parametrize("code", ["import unspool", "import unspool.cli.app"])
def test_importing_is_cheap(code):
    found = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('torch' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"
