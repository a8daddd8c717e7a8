"""Environment variables that change speed or arithmetic are cleared, or in the record and the key."""

import ast
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.launcher.key import run_key
from harness.launcher.lease import Lease
from harness.launcher.process import environment
from harness.launcher.variables import recorded
from harness.measure.machine import cores
from harness.store.record import RunRecord
from tests.conftest import Shell
from tests.conftest import environment as environment_of_a_command
from tests.support.children import Shadow, sabotage
from tests.support.configurations import DEFAULT

VALUE = "a value of one's own"
CLEARED = """
    OMP_NUM_THREADS OMP_PLACES OMP_PROC_BIND OMP_SCHEDULE OMP_DYNAMIC OMP_THREAD_LIMIT OMP_WAIT_POLICY
    GOMP_CPU_AFFINITY GOMP_SPINCOUNT KMP_AFFINITY KMP_BLOCKTIME KMP_HW_SUBSET
    LIBOMP_NUM_HIDDEN_HELPER_THREADS OPENBLAS_NUM_THREADS OPENBLAS_DEFAULT_NUM_THREADS OPENBLAS_MAIN_FREE
    GOTO_NUM_THREADS BLIS_NUM_THREADS BLIS_JC_NT MKL_NUM_THREADS MKL_DYNAMIC MKL_DOMAIN_NUM_THREADS
    VECLIB_MAXIMUM_THREADS NUMEXPR_MAX_THREADS NPROC TF_NUM_INTRAOP_THREADS TF_NUM_INTEROP_THREADS
    TF_XLA_FLAGS PYTORCH_JIT TORCHDYNAMO_DISABLE TORCH_COMPILE_DISABLE TORCHDYNAMO_SUPPRESS_ERRORS
    TRITON_INTERPRET JAX_DISABLE_JIT KERAS_BACKEND JAX_COMPILATION_CACHE_DIR JAX_ENABLE_COMPILATION_CACHE
    KERAS_TORCH_DEVICE CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER CUBLAS_WORKSPACE_CONFIG
"""
RECORDED = """
    ONEDNN_MAX_CPU_ISA DNNL_MAX_CPU_ISA ONEDNN_DEFAULT_FPMATH_MODE MKL_CBWR MKL_ENABLE_INSTRUCTIONS
    MKL_THREADING_LAYER OPENBLAS_CORETYPE ATEN_CPU_CAPABILITY NPY_DISABLE_CPU_FEATURES
    NUMPY_MADVISE_HUGEPAGE XLA_FLAGS JAX_ENABLE_X64 JAX_DEFAULT_MATMUL_PRECISION JAX_DEBUG_NANS
    TF_ENABLE_ONEDNN_OPTS TF_DETERMINISTIC_OPS KERAS_NNX_ENABLED NVIDIA_TF32_OVERRIDE
    TORCH_ALLOW_TF32_CUBLAS_OVERRIDE CUBLASLT_WORKSPACE_SIZE CUDA_LAUNCH_BLOCKING
    CUDA_DEVICE_MAX_CONNECTIONS PYTORCH_NO_CUDA_MEMORY_CACHING PYTORCH_CUDA_ALLOC_CONF
    TORCHINDUCTOR_MAX_AUTOTUNE TORCHINDUCTOR_CPP_ENABLE_UNSAFE_MATH_OPT_FLAG CXX LRU_CACHE_CAPACITY
    THP_MEM_ALLOC_ENABLE MALLOC_ARENA_MAX MALLOC_CONF GLIBC_TUNABLES LD_PRELOAD PYTHONMALLOC
    PYTHONTRACEMALLOC PYTHONOPTIMIZE
"""
UNCOUNTED = """
    CUDA_HOME CUDA_VERSION NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES
    NVIDIA_REQUIRE_CUDA CUBLAS_VERSION TORCH_HOME TORCH_LOGS PYTORCH_VERSION TORCH_CUDA_ARCH_LIST
    KERAS_HOME TRITON_CACHE_DIR TORCHINDUCTOR_CACHE_DIR MKLROOT MKL_INTERFACE_LAYER JAX_LOG_COMPILES
    TF_CLI_CONFIG_FILE TF_TOKEN_example_com TF_VAR_region TORCHINDUCTOR_REDIS_URL TRITON_SERVER_USER
    KMP_DUPLICATE_LIB_OK TF_FORCE_GPU_ALLOW_GROWTH TF_CPP_MIN_LOG_LEVEL LD_LIBRARY_PATH PYTHONPATH HOME LANG
"""


pytestmark = pytest.mark.usefixtures("plain_environment")


def childs(name: str) -> str | None:
    """What the process of a run, or of a side of a race, finds in a variable."""
    return environment(DEFAULT, Lease((0,), None)).get(name)


def key() -> str:
    return run_key(DEFAULT, 1)


def test_a_run_on_a_gpu_repeats_its_results_and_compiles_on_all_of_its_cores() -> None:
    names = ("CUBLAS_WORKSPACE_CONFIG", "TORCHINDUCTOR_COMPILE_THREADS", "CUDA_VISIBLE_DEVICES")
    on_gpu, on_cpu = (environment(DEFAULT, Lease((2, 3, 5), gpu)) for gpu in ("GPU-a1", None))
    assert [on_gpu.get(name) for name in names] == [":4096:8", "3", "GPU-a1"]
    assert [on_cpu.get(name) for name in names] == [None, "1", ""]


@pytest.mark.parametrize("name", CLEARED.split())
def test_the_launcher_places_threads_and_the_configuration_selects_the_kernel(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, own = key(), childs(name)
    monkeypatch.setenv(name, VALUE)
    assert childs(name) == own != VALUE
    assert (key(), recorded()) == (before, {})


@pytest.mark.parametrize("name", RECORDED.split())
def test_what_else_changes_speed_or_arithmetic_is_in_the_key(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key()
    monkeypatch.setenv(name, "")
    assert (key(), recorded()) == (before, {})
    monkeypatch.setenv(name, VALUE)
    assert (childs(name), recorded()) == (VALUE, {name: VALUE})
    one = key()
    monkeypatch.setenv(name, "another")
    assert len({before, one, key()}) == 3


@pytest.mark.parametrize("name", UNCOUNTED.split())
def test_places_and_versions_do_not_count(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    monkeypatch.setenv(name, VALUE)
    assert (key(), recorded()) == (before, {})


def test_an_empty_entry_of_pythonpath_is_not_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ":/one::/another:")
    assert childs("PYTHONPATH") == "/one:/another"


@pytest.mark.long
@pytest.mark.parametrize("library", ["sklearn.datasets", "joblib", "ray", "torch._inductor", "keras", "jax"])
def test_a_library_that_the_launcher_imports_changes_no_key(library: str) -> None:
    """Some set variables of their own."""
    if find_spec(library.partition(".")[0]) is None:
        pytest.skip(f"{library} is missing")
    code = f"import {library}; from harness.launcher import variables; print(variables.recorded())"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment_of_a_command(), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "{}"


NOTE = """
import json, os
with open({path!r}, "w") as file:
    json.dump(dict(os.environ), file)
"""
PLACED = {"GOMP_CPU_AFFINITY": "0", "OMP_PLACES": "{0}", "JAX_DISABLE_JIT": "1"}
COUNTED = {"ONEDNN_MAX_CPU_ISA": "SSE41", "OPENBLAS_CORETYPE": "Haswell"}


@pytest.mark.long
def test_a_real_run(run: Shell, results: Path, shadow: Shadow, tmp_path: Path) -> None:
    path = tmp_path / "environment.json"
    plain = sabotage(shadow, NOTE.format(path=str(path)))
    done = run("backend=numpy", env=plain | PLACED | COUNTED)
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    assert not found.keys() & PLACED.keys()
    assert found.items() >= COUNTED.items()
    (record,) = map(RunRecord.read, results.glob("runs/*/*/record.json"))
    assert record.environment["variables"] == COUNTED
    assert record.environment["variables_set"]["OMP_NUM_THREADS"] == "1"
    assert "complete already" in run("backend=numpy", env=plain | COUNTED).stderr
    assert "complete already" not in run("backend=numpy", env=plain | PLACED).stderr
    without = [RunRecord.read(path) for path in results.glob("runs/*/*/record.json")]
    assert ["variables" in each.environment for each in without].count(False) == 1


MASKS = """
import os
import harness.runner.training as training
from pathlib import Path
original = training.train
def train(*arguments, **named):
    result = original(*arguments, **named)
    masks = [sorted(os.sched_getaffinity(int(task.name))) for task in Path("/proc/self/task").iterdir()]
    Path({path!r}).write_text(repr(masks))
    return result
training.train = train
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/task").exists() or len(cores()) < 2, reason="two cores are missing")
def test_every_thread_may_use_every_core_of_the_lease(run: Shell, shadow: Shadow, tmp_path: Path) -> None:
    path = tmp_path / "masks"
    env = sabotage(shadow, MASKS.format(path=str(path)))
    env |= {"GOMP_CPU_AFFINITY": str(cores()[0])}
    done = run("backend=torch", "threads=2", "train.batch_size=256", "cell.hidden=64", env=env)
    assert done.returncode == 0, done.stderr
    masks = ast.literal_eval(path.read_text())
    assert len(masks) > 2
    assert all(len(mask) == 2 for mask in masks)
