"""For mkdocs: puts what `docs.generate` makes into the pages."""

import re
from typing import Any

from docs.generate import PARTS


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page with its `{{ parts }}`; a name that there is not is an error."""
    return re.sub(r"^\{\{ (\w+) \}\}$", lambda found: PARTS[found[1]](), markdown, flags=re.MULTILINE)
