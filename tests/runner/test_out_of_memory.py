"""What each framework and library says where there is not enough memory."""

import pytest

from harness.runner import out_of_memory


@pytest.mark.parametrize(
    "text",
    [
        "RuntimeError: cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "RuntimeError: cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
        "RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "JaxRuntimeError: RESOURCE_EXHAUSTED: Failed to allocate 2.00GiB",
        "JaxRuntimeError: INTERNAL: Failed to capture gpu graph: CUDA_ERROR_OUT_OF_MEMORY",
        "AcceleratorError: CUDA error: out of memory",
        "ResourceExhaustedError: OOM when allocating tensor with shape[8192,8192]",
    ],
)
def test_it_is_told_from_other_failures(text: str) -> None:
    assert out_of_memory.matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "RuntimeError: CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        'File "harness/runner/out_of_memory.py", line 20, in matches',
    ],
)
def test_other_failures_are_none(text: str) -> None:
    assert not out_of_memory.matches(text)
