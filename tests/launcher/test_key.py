"""The key of a run: what determines its result is in it, and nothing else."""

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import harness
import harness.backends.numpy
from harness.config.schema import Config
from harness.launcher import key as keys
from harness.launcher.key import run_key
from harness.measure import quota
from harness.measure.quota import Quota
from harness.store import frames
from harness.store.record import RunRecord
from tests.conftest import ROOT
from tests.support.configurations import composed
from tests.support.nvidia import NvidiaMachine

pytestmark = pytest.mark.usefixtures("plain_environment")
PUBLISHED_VERSION = "0.6.0"
JAX = ("backend=keras", "backend.engine=jax")


def key(*overrides: str) -> str:
    return run_key(composed(*overrides), 1)


def upgrade(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Makes the installed versions of packages look like others."""
    installed = metadata.version

    def version(name: str) -> str:
        return "99.9" if name in packages else installed(name)

    monkeypatch.setattr(metadata, "version", version)


@pytest.mark.parametrize("package", ["numpy", "keras", "jax", "jaxlib"])
def test_a_package_of_the_engine_in_use_is_in_the_key(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(*JAX)
    upgrade(monkeypatch, package)
    assert key(*JAX) != before


@pytest.mark.parametrize("package", ["tensorflow", "torch", "pandas"])
def test_a_package_that_the_run_does_not_use_is_not_in_the_key(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key(*JAX)
    upgrade(monkeypatch, package)
    assert key(*JAX) == before


def test_the_packages_of_a_backend_of_ones_own_are_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """`rich` is installed; no fixed list of frameworks has it."""
    packages = (*harness.backends.numpy.PACKAGES, "rich")
    before = key("backend=numpy")
    monkeypatch.setattr(harness.backends.numpy, "PACKAGES", packages)
    changed = key("backend=numpy")
    assert changed != before
    upgrade(monkeypatch, "rich")
    assert key("backend=numpy") not in (before, changed)


def test_a_cpu_quota_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for cores in ([], [1.5], [2.0], [2.0, 1.5]):
        monkeypatch.setattr(quota, "quotas", lambda cores=cores: [Quota(Path(), each) for each in cores])
        seen.append(key("backend=numpy"))
    assert len(set(seen)) == 3
    assert seen[1] == seen[3]  # the smallest counts


GPU = "GPU-a1"
LIBRARIES = ("nvidia-cudnn-cu13", "nvidia-cublas", "nvidia-cuda-runtime", "triton")
PLUGINS = ("jax-cuda13-plugin", "jax-cuda12-plugin")


@pytest.fixture
def gpu(nvidia: NvidiaMachine, monkeypatch: pytest.MonkeyPatch) -> NvidiaMachine:
    """A GPU, its driver and the libraries of CUDA."""
    nvidia.install(0, told={"0000:10:00.0": (0, GPU)})
    nvidia.version()
    have(monkeypatch, "1.0", *LIBRARIES, *PLUGINS)
    return nvidia


def have(monkeypatch: pytest.MonkeyPatch, version: str, *packages: str) -> None:
    """Makes packages look installed in that version."""
    installed = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: version if name in packages else installed(name))


def on_gpu(*overrides: str) -> str:
    return run_key(composed(*overrides), 1, [GPU])


def test_a_run_on_a_gpu_is_another_than_one_on_the_cpu(gpu: NvidiaMachine) -> None:
    assert on_gpu("backend=torch") != key("backend=torch")


def test_the_model_and_the_driver_of_a_gpu_are_in_the_key(gpu: NvidiaMachine) -> None:
    keys = {on_gpu(), on_gpu()}
    gpu.tell("0000:10:00.0", 0, GPU, "NVIDIA H100 80GB HBM3")
    keys.add(on_gpu())
    gpu.version("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 2023\n")
    keys.add(on_gpu())
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("backend", "counted", "others"),
    [
        (("backend=torch",), LIBRARIES, PLUGINS),
        (JAX, (*LIBRARIES[:3], *PLUGINS), LIBRARIES[3:]),
        (("backend=keras", "backend.engine=torch"), LIBRARIES, PLUGINS),
    ],
)
def test_the_libraries_that_a_run_on_a_gpu_uses_are_in_its_key_alone(
    backend: tuple[str, ...],
    counted: tuple[str, ...],
    others: tuple[str, ...],
    gpu: NvidiaMachine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, on_cpu = on_gpu(*backend), key(*backend)
    have(monkeypatch, "2.0", *others)
    assert on_gpu(*backend) == before
    for package in counted:
        with monkeypatch.context() as patch:
            have(patch, "2.0", package)
            assert on_gpu(*backend) != before, package
            assert key(*backend) == on_cpu


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert harness.__version__ == project["version"]


def published() -> list[Path]:
    paths = sorted((ROOT / "results" / "published").glob("*/runs/*/*/record.json"))
    assert paths
    return paths


def test_published_records_keep_the_keys_that_they_were_stored_under() -> None:
    assert all(RunRecord.read(path).key == path.parts[-3] for path in published())
    frame = frames.load(ROOT / "results" / "published" / "frameworks")
    assert set(frame["key"]) == {path.parts[-3] for path in published() if "frameworks" in path.parts}


def test_a_published_run_would_have_the_same_key_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """On its machine, with its versions and its threads. Keras on other engines than TensorFlow counts other
    packages since, see docs/results.md."""
    same = {True: 0, False: 0}
    sweep = composed().to_mapping()["sweep"]
    monkeypatch.setattr(keys, "HARNESS_VERSION", PUBLISHED_VERSION)
    monkeypatch.setattr(quota, "quotas", list)
    for record in map(RunRecord.read, published()):
        if "tournament" in record.details:  # no run: it has a key of its own
            continue
        machine, installed = (record.environment[part] for part in ("machine", "versions"))
        monkeypatch.setattr(keys, "machine_info", lambda machine=machine: machine)
        monkeypatch.setattr(
            keys, "versions", lambda names, known=installed: {n: known[n] for n in names if n in known}
        )
        later = {"sweep": {**sweep, **record.config["sweep"]}}  # keys added since
        config = Config.from_mapping({**record.config, **later})
        changed = record.engine in ("jax", "torch")
        assert (run_key(config, record.threads) == record.key) is not changed, record.command
        assert run_key(config, record.threads + 1) != record.key
        same[not changed] += 1
    assert min(same.values()) > 0
