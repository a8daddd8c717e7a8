"""A run in this process, as it stands before its proof."""

from typing import Any

from harness.config.dataset import open_dataset
from harness.data.dataset import SPLITS
from harness.runner.context import Context, prepare
from harness.runner.protocol import Message, Update
from tests.support.configurations import composed


def prepared_run(*overrides: str) -> tuple[Context, dict[str, Any]]:
    """Its context, with all splits loaded, and the `details` that its record gets from then on."""
    config = composed(*overrides)
    details: dict[str, Any] = {}

    def keep(message: Message) -> None:
        if isinstance(message, Update):
            details.update(message.details)

    context = prepare(config, open_dataset(config), threads=1, emit=keep)
    for split in SPLITS:
        context.load(split)
    return context, details
