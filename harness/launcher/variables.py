"""Environment variables that change how fast, or how exactly, a run computes.

CLEARED variables place threads, size thread pools, switch a compiler off or choose another kernel or device
than the configuration. The process of a run, or of a side of a race, starts without them: the launcher sets
its own. RECORDED variables change arithmetic or speed in other ways. They reach the run, are written into its
record, and are part of its key. UNCOUNTED variables, and those that fit no pattern, reach the run and do not
count; an exact name among them goes before the patterns of CLEARED.
"""

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase

CLEARED = {  # where they are documented -> names and patterns
    "gcc.gnu.org/onlinedocs/libgomp, openmp.llvm.org/design/Runtimes.html": "OMP_* GOMP_* KMP_* LIBOMP_*",
    "openmathlib.org/OpenBLAS/docs/runtime_variables": (
        "OPENBLAS_*THREAD* OPENBLAS_MAIN_FREE GOTO_NUM_THREADS GOTOBLAS_MAIN_FREE"
    ),
    "github.com/flame/blis: docs/Multithreading.md": "BLIS_NUM_THREADS BLIS_THREAD_IMPL BLIS_??_NT",
    "oneMKL Developer Guide: Environment Variables for Threading Control": (
        "MKL_NUM_THREADS MKL_NUM_STRIPES MKL_DOMAIN_NUM_THREADS MKL_DYNAMIC"
    ),
    "developer.apple.com/accelerate": "VECLIB_MAXIMUM_THREADS",
    "numexpr.readthedocs.io/en/latest/user_guide.html": "NUMEXPR_*THREADS",
    "tensorflow.org/xla, tensorflow.org/api_docs/python/tf/config/threading": (
        "TF_NUM_*_THREADS TF_XLA_FLAGS TF_OVERRIDE_GLOBAL_THREADPOOL"
    ),
    "docs.pytorch.org/docs/stable/torch.compiler_troubleshooting.html, torch/_dynamo/config.py": (
        "PYTORCH_JIT TORCHDYNAMO_DISABLE TORCHDYNAMO_SUPPRESS_ERRORS TORCH_COMPILE_DISABLE "
        "TORCH_COMPILE_BACKEND TORCH_COMPILE_OVERRIDE_BACKENDS TORCHINDUCTOR_COMPILE_THREADS "
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES TRITON_INTERPRET"
    ),
    "docs.jax.dev/en/latest/config_options.html, persistent_compilation_cache.html": (
        "JAX_DISABLE_JIT JAX_*COMPILATION_CACHE* JAX_PERSISTENT_CACHE_*"
    ),
    "docs.jax.dev/en/latest/gpu_memory_allocation.html, xla/pjrt/utils.cc": (
        "XLA_PYTHON_CLIENT_PREALLOCATE NPROC PJRT_NPROC"
    ),
    "keras.io/getting_started, keras/src/backend/torch/core.py": "KERAS_BACKEND KERAS_TORCH_DEVICE",
    "docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html": (
        "CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER"
    ),
    "docs.nvidia.com/cuda/cublas: Results Reproducibility": "CUBLAS_WORKSPACE_CONFIG",
}

RECORDED = {  # likewise
    "openmathlib.org/OpenBLAS/docs/runtime_variables": "OPENBLAS_*",
    "github.com/flame/blis: docs/HardwareSupport.md": "BLIS_ARCH_*",
    "oneMKL Developer Guide: Obtaining Numerically Reproducible Results": "MKL_*",
    "uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html": "ONEDNN_* DNNL_* MKLDNN_*",
    "numpy.org/doc/stable/reference/global_state.html": (
        "NPY_DISABLE_CPU_FEATURES NPY_ENABLE_CPU_FEATURES NPY_PROMOTION_STATE NUMPY_MADVISE_HUGEPAGE"
    ),
    "docs.pytorch.org/docs/stable/torch_environment_variables.html": (
        "ATEN_CPU_CAPABILITY PYTORCH_* TORCH_ALLOW_TF32_* TORCH_CUDNN_* TORCH_CUBLAS_* TORCH_BLAS_* "
        "TORCH_LINALG_* TORCH_MKLDNN_*"
    ),
    "torch/_dynamo/config.py, torch/_inductor/config.py": (
        "TORCHDYNAMO_* TORCH_DYNAMO_* TORCH_COMPILE_* TORCHINDUCTOR_* TRITON_DEFAULT_* TRITON_F32_* CXX"
    ),
    "aws.github.io/graviton/machinelearning/pytorch.html": "THP_MEM_ALLOC_ENABLE LRU_CACHE_CAPACITY",
    "tensorflow.org/guide (Terraform's variables begin with TF_, too), keras/src/backend/config.py": (
        "TF_ENABLE_* TF_DISABLE_* TF_DETERMINISTIC_* TF_USE_* TF_CUDNN_* TF_CUBLAS_* TF_GPU_* TF_MKL_* "
        "TF_AUTOTUNE_* TF_MATMUL_* TF_CONV2D_* TF_EAGER_* TF_FORCE_* TF_FP16_* TF_JITRT_FLAGS "
        "TF_SYNC_ON_FINISH KERAS_*"
    ),
    "docs.jax.dev/en/latest/config_options.html, xla_flags.html": "JAX_* XLA_*",
    "docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html": (
        "CUDA_LAUNCH_BLOCKING CUDA_DEVICE_MAX_* CUDA_DEVICE_DEFAULT_* "
        "CUDA_SCALE_LAUNCH_QUEUES CUDA_AUTO_BOOST CUDA_FORCE_* CUDA_DISABLE_* CUDA_CACHE_DISABLE "
        "CUDA_CACHE_MAXSIZE CUDA_MANAGED_* CUDA_GRAPHS_* CUDA_MPS_ACTIVE_*"
    ),
    "docs.nvidia.com/cuda/cublas": "NVIDIA_TF32_OVERRIDE CUBLAS_* CUBLASLT_*",
    "sourceware.org/glibc/manual/latest/html_node/Tunables.html": "MALLOC_* GLIBC_TUNABLES",
    "jemalloc.net, gperftools.github.io, microsoft.github.io/mimalloc": (
        "_RJEM_MALLOC_CONF TCMALLOC_* MIMALLOC_*"
    ),
    "man 8 ld.so, man 1 dyld": "LD_PRELOAD LD_AUDIT LD_BIND_NOW LD_PROFILE DYLD_INSERT_LIBRARIES",
    "docs.python.org/3/using/cmdline.html": (
        "PYTHONMALLOC PYTHONOPTIMIZE PYTHONDEVMODE PYTHONTRACEMALLOC PYTHONPERFSUPPORT "
        "PYTHON_PERF_JIT_SUPPORT PYTHON_GIL PYTHON_JIT"
    ),
}

UNCOUNTED = {
    "places, versions, messages": (
        "*_PATH *_PATHS *_DIR *_HOME *_ROOT *_CACHE *_URL *_HOST *_PORT *_VERSION *_LOG *_LOGS *_LOG_* "
        "*_LOGGING* *_BUILD_* JAX_TRACEBACK_* MKL_INTERFACE_LAYER"
    ),
    "scikit-learn and Keras set them in every process that imports them": (
        "KMP_DUPLICATE_LIB_OK TF_FORCE_GPU_ALLOW_GROWTH"
    ),
}


def inherited() -> dict[str, str]:
    """What a run's process takes over from the environment of this one.

    An empty entry of PYTHONPATH, as in `PYTHONPATH=$PYTHONPATH:/folder`, would be the working directory.
    """
    env = {name: value for name, value in os.environ.items() if not _cleared(name)}
    if "PYTHONPATH" in env:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, env["PYTHONPATH"].split(os.pathsep)))
    return env


def recorded() -> dict[str, str]:
    """The RECORDED variables that are set, by name."""
    return {name: value for name, value in sorted(inherited().items()) if value and _recorded(name)}


def cleared() -> list[str]:
    """The CLEARED variables that are set, by name."""
    return sorted(name for name, value in os.environ.items() if value and _cleared(name))


def _cleared(name: str) -> bool:
    return _fits(name, CLEARED) and name not in _patterns(UNCOUNTED)


def _recorded(name: str) -> bool:
    return _fits(name, RECORDED) and not _fits(name, UNCOUNTED)


def _patterns(table: Mapping[str, str]) -> list[str]:
    return " ".join(table.values()).split()


def _fits(name: str, table: Mapping[str, str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in _patterns(table))
