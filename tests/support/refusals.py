"""How a test runs a command that must be refused."""


def refused(done: object, *said: str, status: int = 2) -> str:
    """Checks a refusal; returns what was said."""
    text = done.stderr + done.stdout  # type: ignore[attr-defined]
    assert done.returncode == status, text  # type: ignore[attr-defined]
    assert "Traceback" not in text
    assert 0 < len(done.stderr.strip().splitlines()) <= 12, text  # type: ignore[attr-defined]
    for part in said:
        assert part in text, text
    return text
