"""What the documentation says about keys, cells and columns, made from what the program itself uses.

A page of `docs/` has `{{ name }}` where the part of that name belongs; `docs/hooks.py` puts it there.
"""

from collections.abc import Callable

from docs.generate import cells, configuration, record

PARTS: dict[str, Callable[[], str]] = {
    "keys": configuration.keys,
    "groups": configuration.groups,
    "cells": cells.sections,
    "statuses": record.statuses,
    "columns": record.columns,
}
