"""`python -m tests.gpu`, see `tests.gpu.command`. Takes what `tests/gpu/pack.py` prepared into use first."""

import sys

from tests.gpu import prepared


def main() -> int:
    """2 also where packages are missing that nobody prepared."""
    try:
        prepared.use()
        from tests.gpu import command
    except (prepared.NotUsable, ModuleNotFoundError) as error:
        hint = "python tests/gpu/pack.py prepares packages for such a machine, see docs/gpus.md"
        print(f"make gpu: {error}; {hint}", file=sys.stderr)
        return 2
    return command.main()


if __name__ == "__main__":
    sys.exit(main())
