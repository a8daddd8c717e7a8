"""Stage: what is there. Card and driver by nvidia-smi, libraries in processes of their own, `doctor`."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness.config import catalogue
from harness.launcher import variables
from harness.measure import machine
from tests.gpu.prepared import ROOT
from tests.gpu.stages import job

FILE = "here.json"
CARD = (
    *("name", "uuid", "driver_version", "memory.total", "power.limit", "clocks.max.sm", "clocks.max.mem"),
    "mig.mode.current",
)
PROBES = {  # library -> Python that prints what it says of itself
    "torch": """
import json, torch
print(json.dumps({
    "version": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),
    "devices": [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())],
}))
""",
    "triton": """
import json, triton
print(json.dumps({"version": triton.__version__}))
""",
    "jax": """
import json, jax
print(json.dumps({"version": jax.__version__, "devices": [device.device_kind for device in jax.devices()]}))
""",
}


def card() -> list[dict[str, str]]:
    """The GPUs, by the fields of CARD; [] where there is no nvidia-smi."""
    lines = _said(["nvidia-smi", f"--query-gpu={','.join(CARD)}", "--format=csv,noheader"])
    rows = (map(str.strip, line.split(",")) for line in lines.splitlines() if line)
    return [dict(zip(CARD, row, strict=False)) for row in rows]


def library(code: str, seconds: float) -> dict[str, Any]:
    """What a library says of itself, or its `error`, which is also no answer within so many seconds."""
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {seconds:.0f} s"}
    if done.returncode:
        return {"error": (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _said(command: list[str], seconds: float | None = None) -> str:
    """What a program prints; nothing where it is not there. Raises TimeoutExpired after so many seconds."""
    if shutil.which(command[0]) is None:
        return ""
    options = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": seconds}
    return subprocess.run(command, **options, check=False).stdout


def store(found: dict[str, Any], folder: Path) -> None:
    (folder / FILE).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """0: each library that is installed sees its devices; 1: one does not even start."""
    given = job(__doc__)
    header = Path(sysconfig.get_path("include"), "Python.h")
    found: dict[str, Any] = {
        "cards": card(),
        "machine": machine.machine_info(),
        "versions": machine.all_versions(catalogue.all_packages()),
        "libraries": {},
        "compiler": shutil.which("cc") or shutil.which("gcc"),  # Triton compiles its launchers
        "python_header": header.exists(),
        "variables": variables.recorded(),
        "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "device_files": sorted(path.name for path in Path("/dev").glob("nvidia*")),
    }
    store(found, given.output)  # libraries that are imported first on a machine may take long
    with ThreadPoolExecutor() as pool:
        doctor = pool.submit(_said, [sys.executable, "-m", "harness", "doctor"], given.seconds)
        told = [pool.submit(library, code, given.seconds) for code in PROBES.values()]
        found["libraries"] = dict(zip(PROBES, (each.result() for each in told), strict=True))
        store(found, given.output)
    print(json.dumps(found, indent=1), flush=True)
    print(_said(["nvidia-smi", "-q"]), flush=True)
    try:
        print(doctor.result())
    except subprocess.TimeoutExpired as error:
        print(error)
    missing = "No module named"
    return int(any(missing not in each.get("error", missing) for each in found["libraries"].values()))


if __name__ == "__main__":
    sys.exit(main())
