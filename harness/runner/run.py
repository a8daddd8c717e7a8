"""One run, in its process: data, session, the mode's own part, and what the device can do at most.

Results are emitted as they are known, so that a run that ends early keeps what it had.
"""

from dataclasses import asdict
from functools import reduce
from importlib import import_module
from typing import Any

from harness.config import dataset as datasets
from harness.config.schema import Config
from harness.data.dataset import SPLITS
from harness.data.sequence import permutation_hash
from harness.errors import DataError
from harness.measure.contention import ContentionMonitor
from harness.measure.devices import gpus
from harness.measure.gpu_contention import GpuMonitor
from harness.measure.memory import memory_bytes, peak_memory_bytes
from harness.runner import roofline, spinning
from harness.runner.context import Context, prepare
from harness.runner.protocol import Emit, Job, Note, Phase, Update
from harness.runner.roofline import Roofline


def run(job: Job, emit: Emit) -> None:
    """Makes one run. Raises HarnessError for what a person can mend; emits updates on the way."""
    config, others = job.config, spinning.monitor(job.cores)
    emit(Phase("data"))
    emit(Note("loading data"))
    dataset = datasets.open_dataset(config)
    if dataset.sha256 != job.data_sha256:
        raise DataError(f"data.path={config.data.path}: changed while the run was waiting to start")
    emit(spinning.settle(config, others))
    gpu = GpuMonitor(next(iter(gpus()), "")) if job.gpu else None  # the only one that this process sees
    context = prepare(config, dataset, threads=job.threads, emit=emit)
    memory = {"after_imports": memory_bytes()}
    emit(_description(context, job.gpu))
    emit(Phase("data"))
    emit(Update(details={"split_sha256": {split: context.load(split) for split in SPLITS}}))
    memory |= {"after_data": memory_bytes(), "peak_by_then": peak_memory_bytes()}
    # a GPU's memory is recorded at its peak, which these products would be
    products = measure_products(context, "before", {}) if context.session.device == "cpu" else {}
    on_gpu = context.session.device.startswith("cuda")
    contention = ContentionMonitor(job.cores, gpu=gpu if on_gpu else None)
    mode = import_module(f"harness.runner.modes.{config.mode}")
    earlier: list[bool | None] = mode.run(context, job, contention)
    _report_contention(context, contention, earlier, memory)
    measure_products(context, "after", products)
    emit(Phase("end"))
    context.session.close()


def _description(context: Context, gpu: str | None) -> Update:
    """What runs, and on what."""
    config, session = context.config, context.session
    return Update(
        columns={
            "implementation": session.implementation,
            "device": gpu if gpu and session.device.startswith("cuda") else session.device,
            "device_name": session.device_name,
        },
        details={
            "train_examples": len(context.train_labels),
            "shape": asdict(context.shape),
            "tf32": config.precision == "tf32",
            "energy": context.energy.details,
            **_permutation(config),
        },
    )


def _permutation(config: Config) -> dict[str, Any]:
    return {"permutation_sha256": permutation_hash()} if config.sequence.name == "permuted" else {}


def _report_contention(
    context: Context, contention: ContentionMonitor, earlier: list[bool | None], memory: dict[str, int]
) -> None:
    """Whether the run was kept off its cores or its GPU, in this attempt or in an earlier one that it goes on
    from."""
    if contention.gpu:
        context.emit(Phase("contention"))  # it may wait for a moment
    present = contention.result(ended=True)
    verdicts = [verdict for verdict in (*earlier, present.contended) if verdict is not None]
    context.emit(
        Update(
            columns={
                "contended": any(verdicts) if verdicts else None,
                "peak_memory_bytes": peak_memory_bytes(),
                "device_peak_memory_bytes": context.session.device_peak_memory_bytes(),
            },
            details={
                **present.to_mapping(),
                **({"gpu_state": contention.gpu.states} if contention.gpu else {}),
                "memory": memory,
            },
        )
    )


def measure_products(context: Context, when: str, earlier: dict[str, Roofline]) -> dict[str, Roofline]:
    """FLOP/s of matrix products alone, on the run's own device and threads, beside those measured `earlier`;
    reports the best for every shape, and each."""
    train = context.config.train
    context.begin("roofline", "measuring the matrix-multiply peak")
    steps = train.truncate or context.shape.steps
    own = roofline.own_shape(context.model, batch=train.batch_size, steps=steps)
    products = {**earlier, when: roofline.measure(context.session, own)}
    best = reduce(Roofline.better, products.values())
    context.emit(
        Update(
            columns={
                "kernel": context.session.kernel,
                "peak_flops_per_second": best.peak,
                "own_shape_flops_per_second": best.at_own_shape,
            },
            details={
                "matmul_flops_per_second": best.by_name(),
                "matmul": {name: measured.by_name() for name, measured in products.items()},
            },
        )
    )
    return products
