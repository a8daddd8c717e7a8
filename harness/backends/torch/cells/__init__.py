"""One file per cell. docs/adding-a-cell.md says which functions a cell's file has; in PyTorch

- p is a mapping of what `pack` gives, by name; without a `project` of the cell's own, `weight_ih` and
  `bias_ih` in it project the inputs
- xs (T, B, I), xw (T, B, ·) of all steps or (B, ·) of one, ys (T, B, H) or (1, B, H); the state has the order
  of SPEC.state, each (B, length)
- `product(a, h, p, "weight_hh")` is a + h Wᵀ, with one product for W's gradient over many steps in place of
  one for each
- `fused_layer(spec) -> nn.RNNBase` is the stock layer of all layers and directions, time first

A packed number that `pack` fills from no canonical weight is redundant: it is zero and stays zero.

Legend: T time steps, B batch, I input features, H hidden units, G gates, K taps.
"""

from collections.abc import Mapping

import torch

from harness.model.cell import Value

State = tuple[torch.Tensor, ...]
Packed = Mapping[str, torch.Tensor]
Options = Mapping[str, Value]
