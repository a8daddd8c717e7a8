"""A DataFrame column of JSON values that are parsed when they are accessed.

Ten thousand runs hold millions of raw samples that hardly any analysis uses. An element that was accessed
is an ordinary mapping or list; changes to it stay.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from pandas.api.extensions import ExtensionArray, ExtensionDtype, take
from pandas.api.indexers import check_array_indexer
from pandas.api.types import is_integer

ArrayType = type[ExtensionArray]  # within JsonType `type` is another name


class JsonType(ExtensionDtype):
    """The type of such a column."""

    name = "json"
    type = object
    na_value = None

    @classmethod
    def construct_array_type(cls) -> ArrayType:
        return JsonArray


class JsonArray(ExtensionArray):
    """The column: `items` is an object array of JSON texts, each replaced by its value on first access."""

    def __init__(self, items: np.ndarray) -> None:
        self.items = items

    @property
    def dtype(self) -> JsonType:
        return JsonType()

    @property
    def nbytes(self) -> int:
        return int(self.items.nbytes)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, item: Any) -> Any:
        item = check_array_indexer(self, item)
        value = self.items[item]
        if not is_integer(item):
            return JsonArray(value)
        if isinstance(value, bytes | memoryview):
            value = self.items[item] = orjson.loads(value)
        return value

    def __setitem__(self, item: Any, value: Any) -> None:
        self.items[check_array_indexer(self, item)] = value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return object_array([self[k] for k in range(len(self))])

    def isna(self) -> np.ndarray:
        return np.array([item is None for item in self.items], bool)

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> "JsonArray":
        items: Any = take(self.items, np.asarray(indices), allow_fill=allow_fill, fill_value=None)
        return JsonArray(items)

    def copy(self) -> "JsonArray":
        return JsonArray(self.items.copy())

    @classmethod
    def _from_sequence(cls, scalars: Sequence[Any], *, dtype: Any = None, copy: bool = False) -> "JsonArray":
        return JsonArray(object_array(scalars))

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence["JsonArray"]) -> "JsonArray":
        return JsonArray(np.concatenate([part.items for part in to_concat]))


def object_array(values: Sequence[Any]) -> np.ndarray:
    """A one-dimensional array of these values, even if they are sequences themselves."""
    array = np.empty(len(values), object)
    for k, value in enumerate(values):
        array[k] = value
    return array
