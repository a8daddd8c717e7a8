"""Results in a bucket, over the real protocol: a server on this machine that speaks S3."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Shell

pytestmark = pytest.mark.long

moto = pytest.importorskip("moto.server", reason="pip install -c constraints.txt 'moto[s3]' flask flask-cors")
pytest.importorskip("s3fs", reason="pip install -c constraints.txt s3fs")


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of someone who may write to the bucket `rnn`."""
    import boto3

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    secrets = {"aws_access_key_id": "someone", "aws_secret_access_key": "secret"}
    boto3.client("s3", endpoint_url=url, region_name="us-east-1", **secrets).create_bucket(Bucket="rnn")
    yield {name.upper(): value for name, value in secrets.items()} | {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    server.stop()


def test_a_sweep_into_a_bucket(
    run: Shell, harness_command: Shell, s3: dict[str, str], tmp_path: Path
) -> None:
    sweep = ("-m", "backend=numpy", "seed=0,1", "save_weights=true", "results.root=s3://rnn/night")
    first = run(*sweep, "hydra/launcher=joblib", env=s3)
    assert first.returncode == 0, first.stderr
    assert not list((tmp_path / "cache").rglob("record.json"))
    again = run(*sweep, env=s3)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("complete already") == 2
    table = harness_command("table", "--results", "s3://rnn/night", "--format", "json", env=s3)
    assert table.returncode == 0, table.stderr
    (row,) = json.loads(table.stdout)["rows"]
    assert (row["backend"], row["n"]) == ("numpy", 2)


def test_a_bucket_that_is_not_there(run: Shell, s3: dict[str, str]) -> None:
    done = run("backend=numpy", "results.root=s3://nobody/night", env=s3)
    assert done.returncode == 2, done.stderr
    assert "results.root=s3://nobody/night: cannot be written to" in done.stderr
    assert "Traceback" not in done.stderr
