"""Training throughput of a Keras session against `keras.Model.fit` on the same model, in one process.

    python tests/bench/keras_training.py --cell lstm --engine tensorflow

Windows of the two alternate (one epoch of `fit` on arrays in memory; the same number of steps of
`Session.train`), their order changes every round, and the ratio is taken round by round. Both use the
same threads, by default as many as there are cores; with fewer threads than cores the process is not
pinned, since `fit` on a single core also has to share it with the threads that feed it.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from harness.backends.base import Session, Setup
from harness.backends.keras.backend import open_session
from harness.environment import cores, cpu_name, load_average, versions
from harness.init import draw
from harness.measure.clock import seconds
from harness.measure.statistics import estimate
from harness.model import ModelSpec
from harness.optim import OptimizerSpec
from harness.spec import cell_spec

T, I, C, BATCH = 28, 28, 10, 128
RATE = 1e-3


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cell", default="lstm", choices=("rnn", "lstm", "gru"))
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--engine", default="tensorflow", choices=("tensorflow", "jax", "torch"))
    parser.add_argument("--implementation", default="fused", choices=("fused", "loop", "compiled"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=len(cores()))
    parser.add_argument("--rows", type=int, default=5500, help="training rows, cut to full batches")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--output", type=Path, help="default: results/bench/keras_training_<what>.json")
    return parser.parse_args()


def open_trained(args: argparse.Namespace, x: np.ndarray, y: np.ndarray) -> Session:
    options = {key: allowed[0] for key, allowed in cell_spec(args.cell).options.items()}
    model = ModelSpec(args.cell, steps=T, features=I, hidden=args.hidden, classes=C, options=options)
    session = open_session(
        Setup(
            model,
            OptimizerSpec("adam"),
            implementation=args.implementation,
            engine=args.engine,
            device=args.device,
            threads=args.threads,
        )
    )
    session.put_weights(draw(model, seed=0))
    session.load("train", x, y)
    return session


def plain_model(args: argparse.Namespace):
    import keras

    keras.config.set_floatx("float32")
    layer = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[args.cell]
    model = keras.Sequential([keras.Input((T, I)), layer(args.hidden), keras.layers.Dense(C)])
    model.compile(
        optimizer=keras.optimizers.Adam(RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def timed(session: Session, work: Callable[[], object]) -> float:
    session.synchronize()
    start = seconds()
    work()
    session.synchronize()
    return seconds() - start


def main() -> None:
    args = arguments()
    steps = args.rows // BATCH
    rows = steps * BATCH
    rng = np.random.default_rng(0)
    x, y = rng.random((rows, T, I), dtype=np.float32), rng.integers(0, C, rows)
    session = open_trained(args, x, y)
    model = plain_model(args)
    rates = np.full(steps, RATE)

    def ours() -> None:
        session.train(rng.permutation(rows).reshape(steps, BATCH), rates)

    def fit() -> None:
        model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)

    for work in (ours, fit):
        timed(session, work)
        timed(session, work)
    found: dict[str, list[float]] = {"session": [], "fit": []}
    for index in range(args.rounds):
        pair = (("session", ours), ("fit", fit))
        for name, work in pair if index % 2 else reversed(pair):
            found[name].append(timed(session, work))
    ratio = estimate([theirs / mine for mine, theirs in zip(found["session"], found["fit"], strict=True)])
    rate = {name: estimate([rows / s for s in each]) for name, each in found.items()}
    for name, each in rate.items():
        print(f"{name:8} {each.median:9.0f} sequences/s  [{each.low:.0f}, {each.high:.0f}]")
    print(
        f"{args.cell}-{args.hidden} {args.implementation} on {args.engine} ({session.kernel}), "
        f"{args.threads} threads, {steps} steps × {args.rounds} rounds: session / fit = "
        f"{ratio.median:.3f} [{ratio.low:.3f}, {ratio.high:.3f}] ({ratio.coverage:.0%})"
    )
    what = f"{args.cell}{args.hidden}_{args.implementation}_{args.engine}_{args.threads}"
    output = args.output or Path("results/bench") / f"keras_training_{what}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "arguments": {key: str(value) for key, value in vars(args).items()},
        "kernel": session.kernel,
        "fit_jit_compile": bool(model.jit_compile),
        "ratio": ratio._asdict(),
        "throughput": {name: each._asdict() for name, each in rate.items()},
        "window_seconds": found,
        "cpu": cpu_name(),
        "load_average": load_average(),
        "versions": versions(),
    }
    output.write_text(json.dumps(record, indent=1) + "\n")
    print(output)


if __name__ == "__main__":
    main()
