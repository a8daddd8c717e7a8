"""Hostile configurations: refused by the key's name, or stored; nothing lands outside of the results."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from harness.config.flat import flat
from harness.config.schema import Config
from harness.errors import ConfigError
from harness.report.table.output import TEXTS
from harness.sweep.plan import make_plan
from tests.conftest import ROOT, SMALL, environment
from tests.support.configurations import DEFAULT, KEYS
from tests.support.fuzz import fuzz
from tests.support.tables import check_table

# the typed configuration

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**40, -(10**40), 10**400, -0.0, 1e308, 5e-324, float("inf"), float("nan")]),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(
        [
            "",
            "..",
            "../../x",
            "a\nb",
            "\x1b[31m",
            "\0",
            "\ud800",
            "<script>",
            "${seed}",
            "x" * 5000,
            "cuda:٣",
            "‮",
        ]
    ),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def taken(values: Any) -> Config | None:
    try:
        return Config.from_mapping(values)
    except ConfigError as error:
        assert str(error).isprintable()  # noqa: PT017
        assert len(str(error)) < 1000  # noqa: PT017
        return None


def is_whole(config: Config) -> None:
    """It means the same after a way through JSON, and all of its texts are fit for a line."""
    again = json.loads(json.dumps(config.to_mapping(), allow_nan=False))
    assert Config.from_mapping(again) == config
    assert "-0.0" not in json.dumps(again)
    for value in flat(config.to_mapping()).values():
        assert not isinstance(value, str) or (value.isprintable() and "${" not in value)


@fuzz(
    100,
    1000,
    values=st.dictionaries(
        st.text(max_size=12) | st.sampled_from([*DEFAULT.to_mapping()]), JSON, max_size=20
    ),
)
def test_any_mapping_is_refused_or_taken(values: dict[str, Any]) -> None:
    config = taken(values)
    if config is not None:
        is_whole(config)


@fuzz(100, 1000, changes=st.lists(st.tuples(st.sampled_from(KEYS), JSON), min_size=1, max_size=3))
def test_a_valid_one_with_anything_in_some_places(changes: list[tuple[tuple[str, ...], Any]]) -> None:
    values = DEFAULT.to_mapping()
    for key, value in changes:
        place = values
        for part in key[:-1]:
            place = place[part]
        place[key[-1]] = value
    config = taken(values)
    if config is not None:
        is_whole(config)


def test_numbers_and_lists_that_python_itself_cannot_write_down() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for key in ("seed", "measure", "device"):
        for value in (deep, 10**5000, {"a": deep}):
            assert taken({**DEFAULT.to_mapping(), key: value}) is None


# the command line


def snapshot(place: Path) -> dict[str, bytes | None]:
    """Every file below a place with its content, every directory."""
    return {
        str(path.relative_to(place)): path.read_bytes() if path.is_file() else None
        for path in sorted(place.rglob("*"))
    }


class Sandbox:
    """A person's place: home, temporary and working directory, and results below the last."""

    def __init__(self, place: Path, leases: Path) -> None:
        self.place, self.work = place, place / "work"
        for name in ("home", "tmp", "work"):
            (place / name).mkdir(parents=True)
        (place / "secret.yaml").write_text("hidden: 99\n")
        self.env = environment(
            HOME=str(place / "home"),
            TMPDIR=str(place / "tmp"),
            HARNESS_LEASES=str(leases),
            PYTHONDONTWRITEBYTECODE="1",
            PYTHONPATH=str(ROOT),
        )
        self.before = snapshot(place)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "run.py"), *arguments],
            cwd=self.work,
            env=self.env,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
        )

    def written(self) -> list[str]:
        """What is there, outside of the results, that was not, or is another."""
        after = snapshot(self.place)
        changed = {
            name for name in after.keys() | self.before.keys() if after.get(name) != self.before.get(name)
        }
        changed |= after.keys() ^ self.before.keys()
        return sorted(name for name in changed if not re.match(r"work/results(/|$)", name))


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path / "sandbox", tmp_path / "leases")


MANY = "9" * 5000
REFUSED = {
    # names
    "cell=../../secret": "cell",
    "cell.name=../../x": "cell.name",
    "cell.name=..": "cell.name",
    "backend.name=..": "backend.name",
    "backend.name=../harness": "backend.name",
    "backend.name=keras.engines": "backend.name",
    "data.name=../../x": "data.name",
    "data.name='<img src=x onerror=alert(1)>'": "data.name",
    "sequence.name=__class__": "sequence.name",
    "device='cuda:0\\n'": "device",
    "device=cuda:٣": "device",
    # texts
    "results.root=''": "results.root",
    'results.root="a\tb"': "results.root",
    "results.root='\x1b[31m'": "results.root",
    "results.root='\u202egnp.exe'": "results.root",
    f"results.root={'x' * 300}": "results.root",
    f"results.root={'x/' * 3000}": "results.root",
    "data.path='a\tb'": "data.path",
    "weights='\x07'": "weights",
    # numbers
    "cell.hidden=1e400": "cell.hidden",
    "train.learning_rate=1e400": "train.learning_rate",
    "train.learning_rate=-inf": "train.learning_rate",
    "train.epsilon=nan": "train.epsilon",
    f"seed={10**40}": "seed",
    f"seed={MANY}": "seed",
    f"train.clip_norm={MANY}": "train.clip_norm",
    "train.learning_rate=-0.0": "train.learning_rate",
    "run.timeout_seconds=1e309": "run.timeout_seconds",
    "measure.targets=[nan]": "measure.targets",
    f"measure.targets={'[' * 500}{']' * 500}": "measure.targets",
    # what YAML and OmegaConf might do
    "seed=!!python/object/apply:os.system [touch pwned]": "seed",
    "seed='!!python/object/apply:os.system [touch pwned]'": "seed",
    "results.root=${oc.env:HOME}/stolen": "results.root",
    "results.root=${now:%Y}": "results.root",
    "results.root=${results.root}": "results.root",
    "data.root=${oc.env:HOME}": "data.root",
    "weights=${weights}": "weights",
    "seed=${oc.env:HOME}": "seed",
    "cell.hidden=${train.batch_size}": "cell.hidden",
    "data.path=${oc.decode:x}": "data.path",
    "results.root=${hydra.sweep.dir}": "results.root",
    "results={root: a, other: b}": "results",
    "results=null": "results",
    "train=[]": "train",
    "+__class__=x": "__class__",
    "+train.__init__=x": "train.__init__",
    # where Hydra would write
    "hydra.run.dir=../elsewhere": "hydra.run.dir",
    "hydra.run.dir=${oc.env:HOME}/x": "hydra.run.dir",
    "hydra.sweep.dir=../elsewhere": "hydra.sweep.dir",
    "hydra.sweep.dir=${oc.env:HOME}": "hydra.sweep.dir",
    "hydra.sweep.subdir=../../../x": "hydra.sweep.subdir",
    "hydra.output_subdir=../x": "hydra.output_subdir",
    "hydra.output_subdir=.hydra": "hydra.output_subdir",
    "hydra.job.chdir=true": "hydra.job.chdir",
    "hydra/job_logging=default": "hydra/job_logging",
    "hydra/hydra_logging=default": "hydra/hydra_logging",
    "+hydra.job_logging.handlers.file.filename=/tmp/x": "hydra.job_logging",
}


@pytest.mark.long
@pytest.mark.parametrize("multirun", [False, True], ids=["run", "sweep"])
def test_refused_before_anything_starts(
    sandbox: Sandbox, multirun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them in one process, by the check that every command makes first."""
    monkeypatch.chdir(sandbox.work)
    monkeypatch.setenv("HOME", sandbox.env["HOME"])
    sweep = ["-m"] if multirun else []
    for override, key in REFUSED.items():
        from harness.config.compose import COMPOSITION_ERRORS, explain

        with pytest.raises(COMPOSITION_ERRORS) as caught:
            make_plan([*sweep, "backend=numpy", "data=digits", override])
        said = explain(caught.value)
        assert key.split(".")[-1] in said, (override, said)
        assert len(said) < 8000, override
        assert len(said.splitlines()) <= 12, (override, said)
    assert sandbox.written() == []


@pytest.mark.parametrize(
    "override",
    [
        f"seed={MANY}",
        f"measure.targets={'[' * 500}{']' * 500}",
        "results.root=${oc.env:HOME}/stolen",
        "cell=../../secret",
        "hydra.sweep.dir=../elsewhere",
        "hydra/job_logging=default",
        "results.root='\x1b[31m'",
    ],
    ids=lambda override: override[:20].replace("\x1b", "esc"),
)
def test_refused_as_typed(sandbox: Sandbox, override: str) -> None:
    done = sandbox.run("-m", "backend=numpy", "data=digits", override)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert 0 < len(done.stderr.splitlines()) <= 12
    assert done.stdout == ""
    assert sandbox.written() == []


def test_bytes_that_are_no_text(sandbox: Sandbox) -> None:
    for override in (b"results.root=\xff", b"data.path=\xff\xfe", b"\xff=1", b"seed=\xff"):
        done = subprocess.run(
            [sys.executable, str(ROOT / "run.py"), "backend=numpy", "data=digits", override],
            cwd=sandbox.work,
            env=sandbox.env,
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == 2, done.stderr
        assert b"Traceback" not in done.stderr
    assert sandbox.written() == []


def test_a_configuration_directory_of_anothers_making(sandbox: Sandbox) -> None:
    evil = sandbox.place / "conf" / "choice"
    evil.mkdir(parents=True)
    (evil / "evil.yaml").write_text(
        "# @package _global_\nseed: !!python/object/apply:os.system ['touch pwned']\n"
    )
    (evil / "cycle.yaml").write_text(
        "# @package _global_\ndata: {root: '${weights}'}\nweights: '${data.root}'\n"
    )
    (evil / "anchor.yaml").write_text("# @package _global_\nseed: &a 1\nthreads: *a\n")
    sandbox.before = snapshot(sandbox.place)
    for name, status in (("evil", 2), ("cycle", 2), ("anchor", 0)):
        chosen = ("--config-dir", str(evil.parent), f"+choice={name}")
        done = sandbox.run(*chosen, "backend=numpy", "data=digits", "sweep.dry_run=true")
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        assert "Could not find" not in done.stderr
    assert sandbox.written() == []


@pytest.mark.long
def test_what_is_stored_is_harmless(sandbox: Sandbox, tmp_path: Path) -> None:
    """A text that is fit for a path, however odd, is a path; the table of it is whole in every format."""
    odd = "results/=cmd|' <b> [/red] $(touch pwned) `touch pwned` ;&% 'ü"
    quoted = odd.replace("'", "\\'")
    done = sandbox.run("backend=numpy", f"results.root='{quoted}'", f"data.root='{quoted}/d'", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert sandbox.written() == []
    (path,) = (sandbox.work / odd).glob("runs/*/*/record.json")
    assert json.loads(path.read_text())["config"]["results"]["root"] == odd
    for style in TEXTS:
        shown = subprocess.run(
            [
                sys.executable,
                "-m",
                "harness",
                "table",
                "--results",
                odd,
                "--by",
                "backend,results.root",
                "--format",
                style,
            ],
            cwd=sandbox.work,
            env=sandbox.env,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert shown.returncode == 0, shown.stderr
        check_table(shown.stdout, style, rows=1)
    assert sandbox.written() == []
