"""`python -m harness doctor` looks for real, and says what to do."""

from collections.abc import Callable

import pytest

from tests.conftest import Shell

Shadow = Callable[[str, str], dict[str, str]]


@pytest.mark.long
def test_what_works_and_what_to_do_about_the_rest(harness_command: Shell, shadow: Shadow, mnist: str) -> None:
    env = shadow("torch", "raise ImportError('libtorch.so is broken')") | {"HARNESS_DATA": mnist}
    done = harness_command("doctor", env=env)
    assert done.returncode == 1, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert any(line.startswith("ok backend=numpy cpu (") for line in lines), done.stdout
    assert any(line.startswith("ok backend=keras backend.engine=tensorflow cpu (") for line in lines)
    (at,) = (k for k, line in enumerate(lines) if line.startswith("-- backend=torch "))
    assert "libtorch.so is broken" in lines[at]
    assert lines[at + 1] == "→ pip install -c constraints.txt torch"
    assert f"ok data=mnist verified, in {mnist}/mnist" in lines
    assert any(line.startswith("-- data=fashion_mnist") for line in lines)
    assert "Traceback" not in done.stderr
