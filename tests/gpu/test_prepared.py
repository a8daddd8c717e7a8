"""What is prepared for a machine without a network, and how it is taken into use there."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from harness.measure import copied_revision, machine
from tests.conftest import ROOT, environment
from tests.gpu import pack, prepared

USE = """
import sys
from pathlib import Path
from tests.gpu import prepared
prepared.use(Path(sys.argv[1]))
import os, made_for_a_test
print(made_for_a_test.__file__)
print(os.environ["PYTHONPATH"])
print(os.environ["HARNESS_DATA"])
"""


def wheel(folder: Path, name: str, version: str, tag: str = "py3-none-any") -> Path:
    """A wheel with one module of the package's name."""
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    path = folder / f"{module}-{version}-{tag}.whl"
    about = f"{module}-{version}.dist-info"
    with ZipFile(path, "w") as archive:
        archive.writestr(f"{module}.py", "")
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


def use(folder: Path) -> subprocess.CompletedProcess[str]:
    env = environment(PYTHONPATH=str(ROOT))
    env.pop("HARNESS_DATA", None)
    return subprocess.run(
        [sys.executable, "-c", USE, str(folder)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_package_that_is_missing_is_taken_from_its_wheel(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "made-for-a-test", "1.0")
    (tmp_path / "data").mkdir()
    done = use(tmp_path)
    assert done.returncode == 0, done.stderr
    module, path, data = done.stdout.splitlines()
    assert Path(module).parent == tmp_path / "site"
    assert path.split(":")[:2] == [str(tmp_path / "site"), str(ROOT)], "children find it, too"
    assert data == str(tmp_path / "data")


def test_a_package_that_is_there_is_left_alone(tmp_path: Path) -> None:
    version = machine.versions(["orjson"])["orjson"]
    assert prepared.installed(wheel(tmp_path, "orjson", version))
    assert not prepared.installed(wheel(tmp_path, "orjson", "0.0.1"))
    assert not prepared.installed(wheel(tmp_path, "made-for-a-test", "1.0"))


def test_a_wheel_for_another_python_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path / "wheels", "made-for-a-test", "1.0", "cp27-none-any")
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(prepared.NotUsable, match=r"cannot be installed here \(.*not a supported wheel"):
        prepared.use(tmp_path)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the network, with all wheels that are wanted; pip looks nowhere else."""
    place = tmp_path / "index"
    for name, version in pack.versions((*pack.BINARY, *pack.SOURCES)).items():
        wheel(place, name, version)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    return place


@pytest.fixture
def packed(tmp_path: Path, mnist: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where to pack to, in a checkout without changes, with MNIST at hand."""
    commit = machine.git("rev-parse", "HEAD")
    if commit is None:
        pytest.skip("git is missing, or this is no checkout")
    monkeypatch.setattr(pack.machine, "git_revision", lambda: commit)
    monkeypatch.setenv("HARNESS_DATA", mnist)
    return tmp_path / "folder"


def typed(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["pack.py", "--folder", str(folder), *arguments])
    return pack.main()


@pytest.mark.usefixtures("wheels")
def test_all_that_is_needed_is_packed(
    packed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(monkeypatch, packed) == 0
    printed = capsys.readouterr().out
    assert "make gpu PYTHON=python3" in printed
    assert "python3 -m tests.gpu" in printed
    assert {path.name.split("-")[0] for path in (packed / "wheels").iterdir()} == {
        *("hydra_core", "omegaconf", "antlr4_python3_runtime", "keras"),
        *("namex", "optree", "orjson", "platformdirs", "pooch"),
    }
    assert sorted(path.name for path in (packed / "data" / "mnist").iterdir())[0].startswith("t10k-images")
    listed = copied_revision.commit(packed / "revision.json")
    assert listed == machine.git("rev-parse", "HEAD")
    assert " MiB with the checkout, of 64" in printed

    next((packed / "wheels").glob("keras-*")).unlink()
    (packed / "data" / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    copied_revision.write(packed / "revision.json", "b" * 40, "")
    alone = sum(path.stat().st_size for path in packed.rglob("*") if path.is_file())
    monkeypatch.setattr(pack, "LIMIT_BYTES", alone + 2**20)  # the checkout has more than this
    assert typed(monkeypatch, packed, "--check") == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("keras ")
    assert "0 wheels in" in said[0]
    assert "t10k-labels" in said[1]
    assert "b" * 40 in said[2]
    assert " MiB with the checkout, at most " in said[3]
    assert len(said) == 4


def test_a_wheel_that_there_is_not_is_named(
    wheels: Path, packed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    next(wheels.glob("optree-*")).unlink()
    assert typed(monkeypatch, packed) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("pip download: ERROR: No matching distribution found for optree==")


def test_changed_files_are_not_packed(
    packed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pack.machine, "git_revision", lambda: "a" * 40 + "+")
    assert typed(monkeypatch, packed) == 1
    assert "commit first" in capsys.readouterr().err
    assert not packed.exists()
