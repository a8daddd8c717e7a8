"""Models as their files in `conf/cell` have them, and what `describe` prints about them."""

from dataclasses import replace
from io import StringIO
from typing import Any

import yaml

from harness.commands.describe import page
from harness.config.compose import CONF
from harness.model.network import ModelSpec


def model_of(cell: str, **changes: Any) -> ModelSpec:
    """A cell as its file in `conf/cell` has it, of MNIST's rows."""
    values = yaml.safe_load((CONF / "cell" / f"{cell}.yaml").read_text("utf-8"))
    values = values.get("cell", values)
    options = {key: value for key, value in values.items() if key not in ("name", "hidden")}
    model = ModelSpec(cell, 28, 28, 128, 10, options=options)
    return replace(model, **changes)


def said(model: ModelSpec, scheme: str = "keras") -> str:
    out = StringIO()
    page.show(page.DescribedModel(model, scheme, "float32"), out)
    return out.getvalue()
