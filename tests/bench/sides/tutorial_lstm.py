"""An LSTM as tutorials write it in NumPy: column vectors, one sequence, one step, one gate at a time.

    z_t = [h_{t-1}, x_t]        f_t = σ(W_f z_t + b_f)        i_t = σ(W_i z_t + b_i)
    c̄_t = tanh(W_c z_t + b_c)   o_t = σ(W_o z_t + b_o)
    c_t = f_t ∘ c_{t-1} + i_t ∘ c̄_t      h_t = o_t ∘ tanh(c_t)      p = softmax(W_v h_T + b_v)

Adam makes an update after each sequence, parameter by parameter, in NumPy's own float64.
"""

import numpy as np

from harness.backends.base import Weights
from harness.model.initializers import draw
from tests.bench.task import RATE, Side, Task

GATES = {"f": "f", "i": "i", "c": "g", "o": "o"}  # a tutorial's letter: the harness' own


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - np.max(x))
    return e / np.sum(e)


class LSTM:
    """W_f, W_i, W_c, W_o (H, H+I), W_v (C, H); biases are columns."""

    def __init__(self, hidden: int, params: Weights) -> None:
        self.hidden = hidden
        self.params = params
        self.m = {name: np.zeros_like(p) for name, p in params.items()}
        self.v = {name: np.zeros_like(p) for name, p in params.items()}
        self.t = 0

    def forward(self, x: np.ndarray) -> tuple[list[tuple[np.ndarray, ...]], np.ndarray]:
        """x (T, I) -> what each step leaves behind, probabilities (C, 1)."""
        p = self.params
        h = np.zeros((self.hidden, 1), x.dtype)
        c = np.zeros((self.hidden, 1), x.dtype)
        steps = []
        for t in range(len(x)):
            z = np.vstack((h, x[t].reshape(-1, 1)))
            f = sigmoid(np.dot(p["W_f"], z) + p["b_f"])
            i = sigmoid(np.dot(p["W_i"], z) + p["b_i"])
            c_bar = np.tanh(np.dot(p["W_c"], z) + p["b_c"])
            o = sigmoid(np.dot(p["W_o"], z) + p["b_o"])
            c_prev = c
            c = f * c_prev + i * c_bar
            h = o * np.tanh(c)
            steps.append((z, f, i, c_bar, o, c_prev, c, h))
        return steps, softmax(np.dot(p["W_v"], h) + p["b_v"])

    def backward(self, x: np.ndarray, y: int, grads: Weights) -> float:
        """Adds the gradient of the cross-entropy of x (T, I), y to `grads`; returns the loss."""
        p = self.params
        steps, probabilities = self.forward(x)
        loss = -np.log(probabilities[y, 0])
        dv = probabilities.copy()
        dv[y] -= 1
        grads["W_v"] += np.dot(dv, steps[-1][-1].T)
        grads["b_v"] += dv
        dh = np.dot(p["W_v"].T, dv)
        dc = np.zeros_like(dh)
        for t in reversed(range(len(x))):
            z, f, i, c_bar, o, c_prev, c, _ = steps[t]
            do = dh * np.tanh(c)
            do = do * o * (1 - o)
            dc = dc + dh * o * (1 - np.tanh(c) ** 2)
            dc_bar = dc * i
            dc_bar = dc_bar * (1 - c_bar**2)
            di = dc * c_bar
            di = di * i * (1 - i)
            df = dc * c_prev
            df = df * f * (1 - f)
            grads["W_f"] += np.dot(df, z.T)
            grads["b_f"] += df
            grads["W_i"] += np.dot(di, z.T)
            grads["b_i"] += di
            grads["W_c"] += np.dot(dc_bar, z.T)
            grads["b_c"] += dc_bar
            grads["W_o"] += np.dot(do, z.T)
            grads["b_o"] += do
            dz = (
                np.dot(p["W_f"].T, df)
                + np.dot(p["W_i"].T, di)
                + np.dot(p["W_c"].T, dc_bar)
                + np.dot(p["W_o"].T, do)
            )
            dh = dz[: self.hidden]
            dc = f * dc
        return float(loss)

    def gradient(self, x: np.ndarray, y: int) -> tuple[float, Weights]:
        """The loss of x (T, I), y and its gradients."""
        grads = {name: np.zeros_like(p) for name, p in self.params.items()}
        return self.backward(x, y, grads), grads

    def update(self, grads: Weights, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        self.t += 1
        for name, p in self.params.items():
            self.m[name] = beta1 * self.m[name] + (1 - beta1) * grads[name]
            self.v[name] = beta2 * self.v[name] + (1 - beta2) * grads[name] ** 2
            m = self.m[name] / (1 - beta1**self.t)
            v = self.v[name] / (1 - beta2**self.t)
            p -= RATE * m / (np.sqrt(v) + eps)


def from_canonical(weights: Weights) -> Weights:
    """The harness' weights, or gradients, as a tutorial keeps them."""
    block = "layers.0.forward."
    found = {"W_v": weights["readout.W"].T.copy(), "b_v": weights["readout.b"].reshape(-1, 1).copy()}
    for letter, own in GATES.items():
        both = np.vstack((weights[f"{block}W_h{own}"], weights[f"{block}W_x{own}"]))
        found[f"W_{letter}"] = both.T.copy()
        found[f"b_{letter}"] = weights[f"{block}b_{own}"].reshape(-1, 1).copy()
    return found


def open_side(task: Task, *, precision: str = "float64") -> Side:
    """An update stands for as many of the tutorial's as a batch has sequences."""
    if task.cell != "lstm":
        raise ValueError(f"cell={task.cell}: the tutorial has an lstm only")
    x, y = task.data()
    x = x.astype(precision)
    start = {name: w.astype(precision) for name, w in draw(task.model, seed=0, scheme="keras").items()}
    lstm = LSTM(task.hidden, from_canonical(start))
    rng = np.random.default_rng(1)

    def train(updates: int) -> None:
        for k in task.batches(updates, rng).ravel():
            _, grads = lstm.gradient(x[k], y[k])
            lstm.update(grads)

    return Side(train, task.flops, facts={"precision": precision})
