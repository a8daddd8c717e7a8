"""The revision of a copy of the checkout that came without `.git`, from a list of the commit's files.

`tests/gpu/pack.py` writes the list, which travels with the copy; `harness.measure.machine` reads it.
"""

import hashlib
import json
from pathlib import Path

LIST = Path(".gpu", "revision.json")


def write(path: Path, commit: str, tree: str) -> None:
    """Writes the list of a commit; `tree` is what `git ls-tree -r -z` says of it."""
    files = {}
    for entry in filter(None, tree.split("\0")):
        facts, _, name = entry.partition("\t")
        files[name] = facts.split()[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"commit": commit, "files": files}, indent=1) + "\n", encoding="utf-8")


def commit(path: Path) -> str | None:
    """The commit whose files a list has; None where there is no list."""
    return str(json.loads(path.read_text("utf-8"))["commit"]) if path.exists() else None


def revision(project: Path) -> str | None:
    """The commit that a copy was made of, with `+` where files differ from it or are missing; None where the
    copy has no list."""
    path = project / LIST
    if not path.exists():
        return None
    listed = json.loads(path.read_text("utf-8"))
    same = all(blob_hash(project / name) == expected for name, expected in listed["files"].items())
    return str(listed["commit"]) + ("" if same else "+")


def blob_hash(path: Path) -> str | None:
    """The hash that git gives to a file's content; None where there is no such file."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
