"""One file per cell. docs/adding-a-cell.md says which functions a cell's file has; in Keras

- p is the list that `pack` gives, or what `precompute` makes of it
- `project` works on one step's inputs x (B, I) and on those of all steps xs (T, B, I) alike
- `fused_layer(spec, **keywords) -> keras.layers.RNN` is the stock layer of one layer and direction

Legend: T time steps, B batch, I input features, H hidden units, G gates, K taps.
"""

from collections.abc import Mapping, Sequence

from harness.backends.keras.engines import State, Tensor
from harness.model.cell import Value

Packed = Sequence[Tensor]
Options = Mapping[str, Value]

__all__ = ["Options", "Packed", "State", "Tensor"]
