"""Packages that are kept from being imported for a while.

A framework imports what it finds installed, whether a run needs it or not: Keras pandas, matplotlib and
scikit-learn, TensorFlow JAX. That is half of the seconds until the first step.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def hide_packages(packages: Iterable[str]) -> Iterator[None]:
    """Within it, importing one of these raises ImportError, as if it were not installed; those that are
    imported already stay."""
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]  # None: do not import, says Python
    names = [name for name in packages if name not in modules]
    modules.update(dict.fromkeys(names))
    try:
        yield
    finally:
        for name in names:
            del modules[name]
