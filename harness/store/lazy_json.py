"""A DataFrame column of JSON documents that are parsed when they are looked at.

Ten thousand runs hold millions of raw samples that hardly any analysis touches. An element that is looked
at is an ordinary mapping or list, and stays what it was made by the one who looks.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from pandas.api.extensions import ExtensionArray, ExtensionDtype, take
from pandas.api.indexers import check_array_indexer
from pandas.api.types import is_integer

Kind = type[ExtensionArray]


class Json(ExtensionDtype):
    """The type of such a column."""

    name = "json"
    type = object
    na_value = None

    @classmethod
    def construct_array_type(cls) -> Kind:
        return Documents


class Documents(ExtensionArray):
    """The column: `items` are bytes until they are looked at, then what these hold; an object array."""

    def __init__(self, items: np.ndarray) -> None:
        self.items = items

    @property
    def dtype(self) -> Json:
        return Json()

    @property
    def nbytes(self) -> int:
        return int(self.items.nbytes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, item: Any) -> Any:
        item = check_array_indexer(self, item)
        found = self.items[item]
        if not is_integer(item):
            return Documents(found)
        if isinstance(found, bytes | memoryview):
            found = self.items[item] = orjson.loads(found)
        return found

    def __setitem__(self, item: Any, value: Any) -> None:
        self.items[check_array_indexer(self, item)] = value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return objects([self[k] for k in range(len(self))])

    def isna(self) -> np.ndarray:
        return np.array([item is None for item in self.items], bool)

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> "Documents":
        found: Any = take(self.items, np.asarray(indices), allow_fill=allow_fill, fill_value=None)
        return Documents(found)

    def copy(self) -> "Documents":
        return Documents(self.items.copy())

    @classmethod
    def _from_sequence(cls, scalars: Sequence[Any], *, dtype: Any = None, copy: bool = False) -> "Documents":
        return Documents(objects(scalars))

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence["Documents"]) -> "Documents":
        return Documents(np.concatenate([part.items for part in to_concat]))


def objects(values: Sequence[Any]) -> np.ndarray:
    """An array of one axis, whatever its elements are."""
    found = np.empty(len(values), object)
    for k, value in enumerate(values):
        found[k] = value
    return found
