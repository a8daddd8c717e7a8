"""Imports a backend and prints its devices as JSON: `python -m harness.commands.backend_devices BACKEND`."""

import json
import sys
from importlib import import_module

if __name__ == "__main__":
    backend = import_module(f"harness.backends.{sys.argv[1]}.backend")
    sys.stdout.write(json.dumps(backend.devices()))
