"""`keras.Model.fit` on arrays in memory: a window is an epoch."""

import keras

from tests.bench.task import BATCHES, RATE, Side, Task

LAYERS = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
# An epoch begins with the making of an iterator: 50 ms on TensorFlow, as long as three updates of an LSTM.
# Half of MNIST brings its share close to what it is in life.
LEAST = {"tensorflow": BATCHES, "jax": 43, "torch": 43}


def open_side(task: Task, *, engine: str, unroll: bool = False) -> Side:
    x, y = task.data()
    model = keras.Sequential(
        [
            keras.Input((task.steps, task.features)),
            LAYERS[task.cell](task.hidden, unroll=unroll),
            keras.layers.Dense(task.classes),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    def fit(updates: int) -> None:
        epochs, rest = divmod(updates, task.epoch)
        if epochs:
            model.fit(x, y, batch_size=task.batch, epochs=epochs, verbose=0)
        if rest:
            rows = rest * task.batch
            model.fit(x[:rows], y[:rows], batch_size=task.batch, epochs=1, verbose=0)

    return Side(fit, task.flops, LEAST[engine], {"jit_compile": bool(model.jit_compile)})
