"""One file per cell that PyTorch has here. A cell file offers some of

    step(xw, state, p, options) -> (y, state)     one time step: xw (B, ·) is the projected input, state
                                                  has SPEC.state's order, each (B, length)
    project(xs, p) -> xw                          all steps' inputs xs (T, B, I) in one product (T, B, ·);
                                                  without it weight_ih and bias_ih are what projects
    prepare(p) -> p                               what the step needs that is worked out once a pass
    whole(xs, state, p, options) -> (ys, state)   all steps, of a cell without a step: ys (T, B, H), or
                                                  (1, B, H) of one that gives a single output
    scan(xw, state, p, options) -> (ys, state)    all steps at once, xw (T, B, ·)
    fused(spec) -> nn.RNNBase                     the stock layer of the whole stack, time first
    stock(xs, state, p, options) -> (ys, state)   as `whole`, by a stock function

and in any case `pack` and `unpack`, between canonical weights of one layer and direction and what is
stored of them. `step` and `whole` make "loop" and "compiled", `scan` makes "scan", `fused` and `stock`
make "fused". p is what is stored, by name; the options are constants. A packed number that `pack` fills
from no canonical weight is redundant: it is zero and stays zero.

Legend: T time steps, B batch, I input features, H hidden units, G gates, K taps.
"""

from collections.abc import Mapping

import torch

from harness.model.cell import Value

State = tuple[torch.Tensor, ...]
Stored = Mapping[str, torch.Tensor]
Options = Mapping[str, Value]
