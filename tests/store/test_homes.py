"""`~` is the user's home in every path, and a user without a home has a cache of their own."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harness.config.compose import configuration
from harness.errors import ConfigError, HarnessError, StoreError
from harness.launcher.key import run_key
from harness.measure import directories
from harness.store import index, layout, roots
from harness.store.record import RunRecord
from tests.conftest import ROOT, SMALL, environment, python
from tests.support.npz_files import example, save
from tests.support.refusals import refused

NUMPY = (*SMALL, "backend=numpy")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home"
    place.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.delenv("XDG_CACHE_HOME")
    return place


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def command(work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    first = ("-m", "harness") if arguments[0] == "table" else (str(ROOT / "run.py"),)
    return python(*first, *arguments, env=environment(PYTHONPATH=str(ROOT)), cwd=work)


@pytest.mark.long
def test_every_path_of_a_run_and_of_a_table(home: Path, work: Path) -> None:
    done = command(work, *NUMPY, 'results.root="~/bench"', "save_weights=true")
    assert done.returncode == 0, done.stderr
    (path,) = home.glob("bench/runs/*/*/record.json")
    record = RunRecord.read(path)
    assert record.config["results"]["root"] == "~/bench"
    again = command(work, *NUMPY, f"results.root={home}/bench", "save_weights=true")
    assert "complete already" in again.stderr
    shutil.copy(path.parent / "weights.safetensors", home / "w.safetensors")
    save(home / "mine.npz", **example())
    swept = command(
        work,
        "-m",
        *NUMPY,
        'weights="~/w.safetensors"',
        "train.epochs=0",
        'results.root="~/bench"',
        'hydra.sweep.dir="~/bench/sweeps/one"',
        "seed=0,1",
    )
    assert swept.returncode == 0, swept.stderr
    assert len(list(home.glob("bench/sweeps/one/run-*.json"))) == 2
    own = ("data=npz", 'data.path="~/mine.npz"', 'results.root="~/bench"', "train.batch_size=8")
    planned = command(work, *NUMPY, *own, "sweep.dry_run=true")
    assert planned.returncode == 0, planned.stdout
    shown = command(work, "table", "--results", "~/bench", "--output", "~/table.md")
    assert shown.returncode == 0, shown.stderr
    assert (home / "table.md").exists()
    assert list(work.iterdir()) == []


def test_two_spellings_are_one_root_and_one_run(home: Path) -> None:
    one, other = roots.open_root("~/bench"), roots.open_root(home / "bench")
    assert one.identity == other.identity
    assert one.lock_path("k") == other.lock_path("k")
    (home / "w").write_bytes(b"weights")
    keys = {
        run_key(configuration([*NUMPY, f'weights="{path}"', f"results.root={root}"]), 1)
        for path, root in (("~/w", "a"), (home / "w", '"~/b"'))
    }
    assert len(keys) == 1


@pytest.mark.parametrize(
    "override",
    ["results.root", "weights", "data.path", "data.root", "hydra.sweep.dir", "--results", "--output"],
)
def test_a_home_that_nobody_has(home: Path, work: Path, override: str) -> None:
    path = "~nobody-such/x"
    if override.startswith("-"):
        (work / "results").mkdir()
        done = command(work, "table", override, path)
    else:
        data = {"data.path": "npz", "data.root": "mnist"}.get(override, "digits")
        done = command(work, "-m", *NUMPY, f"data={data}", f'{override}="{path}"', "data.download=false")
    said = done.stdout + done.stderr
    assert done.returncode in (1, 2)
    assert "Traceback" not in said
    assert path in said
    assert not list(work.rglob("~*"))
    if override not in ("data.root", "hydra.sweep.dir"):
        assert len(refused(done).splitlines()) == 1, said


def test_what_nobody_is_told() -> None:
    with pytest.raises(
        ConfigError, match=r"^weights=~nobody-such/x: .* no user is called nobody-such; write \./~"
    ):
        directories.expand_user("~nobody-such/x", "weights")
    assert directories.expand_user("a/~/b", "weights") == Path("a/~/b")


# a user without a home


@pytest.fixture
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No home, as for a user without an entry in the list of users; the system's temporary directory."""
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


def test_a_cache_that_only_this_user_can_enter(homeless: Path) -> None:
    cache = homeless / f"harness-cache-{os.getuid()}"
    assert index.directory() == cache / "records"
    assert layout.staging_directory("x").is_relative_to(cache)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    cache.chmod(0o777)
    assert directories.cache_directory() == cache
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_a_cache_that_is_anothers_is_refused(homeless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = homeless / f"harness-cache-{os.getuid()}"
    cache.symlink_to(homeless)
    with pytest.raises(StoreError, match=f"{cache}: is not this user's own directory; set XDG_CACHE_HOME"):
        directories.cache_directory()
    cache.unlink()
    cache.mkdir()
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    cache.rename(homeless / f"harness-cache-{mine + 1}")
    with pytest.raises(HarnessError, match="is not this user's own directory"):
        directories.cache_directory()


PUBLISHED = ("--results", str(ROOT / "results/published/frameworks"))


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
@pytest.mark.parametrize(
    "arguments",
    [
        ("-m", "harness", "table", *PUBLISHED),
        pytest.param(("-m", "harness", "report", "report.html", *PUBLISHED), marks=pytest.mark.long),
        pytest.param((str(ROOT / "run.py"), *NUMPY), marks=pytest.mark.long),
    ],
    ids=["table", "report", "run"],
)
def test_a_user_without_an_entry(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The user may read everything, so that the interpreter and the checkout can lie anywhere."""
    for name in ("tmp", "work", "leases"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
    read = [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
    user = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", *read, sys.executable]
    env = environment(
        PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path / "tmp"), HARNESS_LEASES=str(tmp_path / "leases")
    )
    env = {key: value for key, value in env.items() if key not in ("HOME", "XDG_CACHE_HOME", "HARNESS_DATA")}
    done = subprocess.run(
        [*user, *arguments], cwd=tmp_path / "work", env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "numpy" in done.stdout or (tmp_path / "work" / "report.html").stat().st_size > 0
    assert (tmp_path / "tmp" / "harness-cache-12345").stat().st_uid == 12345
