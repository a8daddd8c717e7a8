"""Every mistake gets one message of a few lines, no traceback, and the right exit status."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.errors import ConfigError
from harness.launcher.preflight import checked_configuration
from tests.conftest import Shell
from tests.support.refusals import refused


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("cell.hiden=3", ["hiden"]),
        ("+cell.hiden=3", ["cell.hiden", "did you mean cell.hidden?"]),
        ("+colour=red", ["colour: unknown key"]),
        ("cell=lstmm", ["lstmm", "lstm", "gru", "rnn"]),
        ("backend=tensorflow", ["tensorflow", "keras", "numpy", "torch"]),
        ("cell.hidden=0", ["cell.hidden=0", "1 to 65,536"]),
        ("cell.hidden=-1", ["cell.hidden=-1", "1 to 65,536"]),
        ("cell.hidden=many", ["cell.hidden='many'", "whole number"]),
        ("cell.hidden=1.5", ["cell.hidden=1.5", "whole number"]),
        ("cell.hidden=true", ["cell.hidden=True", "whole number"]),
        ("cell.hidden=null", ["cell.hidden=null", "whole number"]),
        ("train.learning_rate=nan", ["train.learning_rate=nan", "(0, 1000]"]),
        ("train.learning_rate=0", ["train.learning_rate=0", "(0, 1000]"]),
        ("train.optimizer=lion", ["train.optimizer='lion'", "sgd, momentum, adam, rmsprop"]),
        ("train.schedule=warm", ["train.schedule='warm'", "constant, cosine, step"]),
        ("model.layers=0", ["model.layers=0"]),
        ("model.bidirectional=maybe", ["model.bidirectional='maybe'", "true or false"]),
        ("model.readout=first", ["model.readout='first'", "last, mean, max, attention"]),
        ("sequence.rows_per_step=5", ["sequence.rows_per_step", "5", "1, 2, 4, 7, 14, 28"]),
        ("init=zeros", ["init='zeros'", "keras, torch, irnn"]),
        ("precision=float16", ["precision='float16'", "float32, float64, tf32, bfloat16"]),
        ("device=gpu", ["device='gpu'", "auto, cpu, cuda, cuda:N"]),
        ("seed=-1", ["seed=-1"]),
        ("backend.engine=jax", ["backend.engine='jax'", "torch has no engines"]),
        ("backend.implementation=fast", ["backend.implementation='fast'", "auto, fused, loop, compiled"]),
        ("measure.targets=0.9", ["measure.targets=0.9", "list of numbers"]),
        ("cell.hidden=8,16", ["-m", "cell.hidden"]),
        ("cell.hidden=[", ["cell.hidden=["]),
        ("train.batch_size=1319", ["train.batch_size=1319", "1,318 training sequences"]),
        ("device=cuda", ["device=cuda", "available: cpu"]),
        ("device=cuda:3", ["device=cuda:3", "available: cpu"]),
        ("threads=4000", ["threads=4000", "cores"]),
        ("weights=nowhere.safetensors", ["weights=nowhere.safetensors", "No such file"]),
    ],
)
def test_a_value_that_is_not_allowed(run: Shell, results: Path, override: str, said: list[str]) -> None:
    env = {"CUDA_VISIBLE_DEVICES": ""}
    refused(run(override, env=env), *said)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("train.truncate=5", "train.truncate=5: does not divide the sequence's 28 steps"),
        ("train.truncate=0", "train.truncate=0: must be a whole number"),
        (
            "train.truncate=7 model.bidirectional=true",
            "train.truncate=7: the backward direction has no state",
        ),
        ("cell=mlp train.truncate=7", "train.truncate=7: has no meaning for mlp: it has no state to carry"),
        ("mode=stream", "mode='stream': reads what was trained before: needs weights=PATH"),
        ("mode=stream weights=w model.bidirectional=true", "the backward direction begins at the end"),
        ("mode=stream weights=w cell=recursive", "its tree is known only when the sequence has ended"),
        ("mode=stream weights=w cell=mlp", "mode='stream': has no meaning for mlp"),
        ("mode=evaluate", "mode='evaluate': must be one of train, stream, throughput"),
        ("cell=echo_state cell.spectral_radius=0", "cell.spectral_radius=0: must be a number in (0, 100]"),
        ("cell=echo_state cell.spectral_radius=-1", "cell.spectral_radius=-1: must be a number in (0, 100]"),
        ("cell=ctrnn cell.substeps=0", "cell.substeps=0: must be a whole number from 1 to 1,000"),
        ("cell=hopfield cell.substeps=-3", "cell.substeps=-3: must be a whole number from 1 to 1,000"),
        ("cell=fir cell.taps=1.5", "cell.taps=1.5: must be a whole number"),
        ("+cell.substeps=2", "cell.substeps: unknown key (known: name, hidden)"),
        ("model.readout=mean cell=recursive", "model.readout='mean': has no meaning for recursive"),
        ("model.layers=2 cell=history_compressor", "its two levels are the stack"),
        ("model.bidirectional=true cell=mlp", "it reads all steps at once"),
        ("model.initial_state=learned cell=mlp", "it has no state"),
        ("model.initial_state=random", "model.initial_state='random': must be one of zeros, learned"),
        ("model.dropout=0.5", "model.dropout=0.5: is between layers"),
        (
            "train.checkpoint_epochs=0",
            "train.checkpoint_epochs=0: must be a whole number from 1 to 1,000,000",
        ),
        (
            "train.checkpoint_epochs=-1",
            "train.checkpoint_epochs=-1: must be a whole number from 1 to 1,000,000",
        ),
        ("train.checkpoint_epochs=1.5", "train.checkpoint_epochs=1.5: must be a whole number"),
        ("train.checkpoint_epochs=true", "train.checkpoint_epochs=True: must be a whole number"),
        ("train.checkpoint_epochs=often", "train.checkpoint_epochs='often': must be a whole number"),
        (
            "cell=echo_state train.checkpoint_epochs=1",
            "train.checkpoint_epochs=1: train.solver=ridge needs null",
        ),
        ("mode=throughput train.checkpoint_epochs=1", "train.checkpoint_epochs=1: is about a model that was"),
        ("mode=stream weights=w train.checkpoint_epochs=1", "needs mode=train, not stream"),
        ("model.dropout=1 model.layers=2", "model.dropout=1: must be a number in [0, 1)"),
        ("train.solver=ridge", "lstm trains W_xi"),
        ("cell=echo_state model.readout=attention", "model.readout='attention': train.solver=ridge needs"),
        ("cell=echo_state train.ridge=0", "train.ridge=0: must be a number in (0,"),
        ("diagnostics=gradient_flow cell=mlp", "it has no state h_t"),
        ("diagnostics=all", "diagnostics='all': must be one of none, gradient_flow"),
    ],
)
def test_a_combination_without_a_meaning(overrides: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        checked_configuration(["data=digits", *overrides.split()])
    assert said in str(error.value)


def test_a_combination_without_a_meaning_as_typed(run: Shell) -> None:
    refused(run("cell=recursive", "model.layers=2"), "model.layers=2: has no meaning for recursive")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("cell=indrnn backend.implementation=fused", "torch has no fused indrnn; it has: loop, compiled"),
        ("backend.implementation=scan", "torch has no scan lstm; it has: fused, loop, compiled"),
        (
            "backend=numpy cell=mingru backend.implementation=fused",
            "numpy has no fused mingru; it has: loop, scan",
        ),
    ],
)
def test_an_implementation_that_a_cell_does_not_have(run: Shell, overrides: str, said: str) -> None:
    assert said in refused(run(*overrides.split()))


def test_weights_of_another_cell(run: Shell, results: Path) -> None:
    assert run("backend=numpy", "cell=indrnn", "save_weights=true").returncode == 0
    (weights,) = results.glob("runs/*/*/weights.safetensors")
    for mode in ("train", "stream"):
        said = run("backend=numpy", "cell=jordan", f"weights={weights}", f"mode={mode}")
        refused(said, "another model's", "it lacks layers.0.forward.W_yh (8, 8)")


def test_a_device_that_the_backend_has_not(run: Shell) -> None:
    refused(run("backend=numpy", "device=cuda"), "device='cuda'", "numpy computes on cpu only")


def test_a_sweep_with_one_bad_value_starts_nothing(run: Shell, results: Path) -> None:
    refused(run("-m", "backend=numpy", "cell.hidden=8,0"), "cell.hidden=0")
    assert not list(results.glob("runs/*/*/record.json"))


@pytest.mark.long
def test_in_a_sweep_a_missing_device_is_a_row(run: Shell) -> None:
    done = run("-m", "backend=torch", "device=cpu,cuda", env={"CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 1
    assert "skipped" in done.stdout
    assert "device=cuda: no such CUDA device" in done.stdout


@pytest.mark.parametrize("place", ["/proc/results", "{file}", "{file}/below"])
def test_results_that_cannot_be_written_are_found_first(run: Shell, tmp_path: Path, place: str) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    root = place.format(file=file)
    for more in ((), ("-m", "seed=0,1")):
        text = refused(
            run(f"results.root={root}", "backend=numpy", *more), f"results.root={root}", "cannot be"
        )
        assert "epoch" not in text


# data


@pytest.fixture
def copied(mnist: str, tmp_path: Path) -> Path:
    root = tmp_path / "data"
    shutil.copytree(Path(mnist) / "mnist", root / "mnist")
    for path in (root / "mnist").iterdir():
        path.chmod(0o644)
    return root


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    plain = bytearray(gzip.decompress(content))
    plain[5000] ^= 1
    return gzip.compress(bytes(plain), 1)


def header(value: bytes, at: int):  # type: ignore[no-untyped-def]
    def change(content: bytes) -> bytes:
        plain = bytearray(gzip.decompress(content))
        plain[at : at + len(value)] = value
        return gzip.compress(bytes(plain), 1)

    return change


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (cut, "truncated"),
        (lambda _: b"", "empty"),
        (flipped, "flipped"),
        (header(b"\0\0\x08\x02", 0), "magic"),
        (header((2**31 - 1).to_bytes(4, "big"), 4), "count"),
        (lambda content: content[:3000] + bytes([content[3000] ^ 64]) + content[3001:], "gzip flip"),
        (lambda _: b"<html>not here</html>", "no gzip"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_file_is_named_and_never_used(run: Shell, copied: Path, damage, name: str) -> None:  # type: ignore[no-untyped-def]
    path = copied / "mnist" / "t10k-images-idx3-ubyte.gz"
    bad = damage(path.read_bytes())
    path.write_bytes(bad)
    text = refused(run("data=mnist", f"data.root={copied}", "backend=numpy"), str(path), "found", "expected")
    assert "accuracy" not in text.split("|")[0]
    assert path.read_bytes() == bad


def test_no_data_and_no_download(run: Shell, tmp_path: Path) -> None:
    text = refused(run("data=mnist", f"data.root={tmp_path}", "data.download=false", "backend=numpy"))
    for name in (
        "train-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
        str(tmp_path / "mnist"),
        "data=digits",
    ):
        assert name in text


def test_no_data_and_no_network(run: Shell, tmp_path: Path) -> None:
    nowhere = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    text = refused(run("data=fashion_mnist", f"data.root={tmp_path}", "backend=numpy", env=nowhere))
    assert str(tmp_path / "fashion_mnist") in text
    assert "data=digits" in text


# weights and records


def test_weights_of_another_model(run: Shell, results: Path) -> None:
    assert run("backend=numpy", "save_weights=true").returncode == 0
    (path,) = results.glob("runs/*/*/weights.safetensors")
    refused(
        run("backend=numpy", f"weights={path}", "cell.hidden=16"),
        str(path),
        "layers.0.forward.W_xi",
        "(28, 8)",
        "(28, 16)",
    )
    refused(run("backend=numpy", f"weights={path}", "cell=gru"), "it lacks layers.0.forward.W_xr (28, 8)")
    refused(run("backend=numpy", f"weights={path}", "model.readout=mean"), "readout", "'last'", "'mean'")
    refused(run("backend=numpy", f"weights={path}", "model.layers=2"), "layers.1.forward.W_xi (8, 8)")


def test_weights_that_are_none(run: Shell, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"not weights")
    refused(run("backend=numpy", f"weights={path}"), f"weights={path}", "safetensors")
    save_file({"a": np.zeros(3)}, path)
    refused(
        run("backend=numpy", f"weights={path}"), "it lacks layers.0.forward.W_xi (28, 8)", "it has a (3,)"
    )


def test_a_record_of_another_schema(run: Shell, results: Path, harness_command: Shell) -> None:
    assert run("backend=numpy").returncode == 0
    (path,) = results.glob("runs/*/*/record.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    refused(harness_command("table", "--results", str(results)), str(path), "schema 99", "reads schema 1")


def test_a_damaged_record_is_named_and_passed_over(run: Shell, results: Path, harness_command: Shell) -> None:
    assert run("-m", "backend=numpy", "seed=0,1").returncode == 0
    path = sorted(results.glob("runs/*/*/record.json"))[0]
    path.write_text(path.read_text()[:100])
    done = harness_command("table", "--results", str(results))
    assert done.returncode == 0
    assert f"passed over: {path}" in done.stderr
    assert "|   1 |" in done.stdout
    refused(harness_command("table", "--results", str(results), "--by", "cel"), "did you mean cell?")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("table", "--results", "nowhere"), "nowhere: no such results directory"),
        (("table", "--results", "conf"), "no runs in conf"),
        (("table", "--results", "conf", "--format", "pdf"), "md, csv, latex, html, json, parquet"),
        (("table", "--results", "conf", "--by", "colour"), "'colour' is no column"),
        (("tabel",), "No such command"),
    ],
)
def test_commands(harness_command: Shell, arguments: tuple[str, ...], said: str) -> None:
    refused(harness_command(*arguments), said)
