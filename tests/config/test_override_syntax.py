"""A value that Hydra's grammar cannot read is answered by how to write it."""

import shlex
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

import harness
from harness.config.override_syntax import DEEPEST, check_parseable, quoted
from harness.errors import ConfigError
from tests.conftest import Shell
from tests.support.refusals import refused

VALUES = st.text(min_size=1, max_size=30) | st.text("\\\"'=(){}[],#~:$ \tü", min_size=1, max_size=12)


@given(value=VALUES.filter(str.isprintable))
def test_the_suggestion_given_back_is_the_value(value: str) -> None:
    text = quoted(f"data.path={value}")
    assert text is not None
    (override,) = shlex.split(text)
    parsed = OverridesParser.create().parse_override(override)
    assert parsed.get_key_element() == "data.path"
    assert not parsed.is_sweep_override()
    assert parsed.value() == value


@pytest.mark.parametrize("override", ["no value", "a b=1", "weights=a\nb"])
def test_no_suggestion_where_quotes_do_not_help(override: str) -> None:
    assert quoted(override) is None


@pytest.mark.parametrize(
    "override",
    [
        "data.path=/tmp/a(1).npz",
        "weights=/x=y.safetensors",
        "data.path=/tmp/a#b.npz",
        "data.root=/tmp/ü",
        "data.root=/tmp/it's",
        "data.path=~/mine.npz",
        "data.path=/tmp/a b (2).npz",
        "data.path=/tmp/{a}.npz",
    ],
)
def test_a_value_that_needs_quotes(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        harness.run(["backend=numpy", override])
    said, text = str(caught.value).splitlines()
    assert said.startswith(f"{override}: cannot be read (")
    assert "Exception" not in said
    (typed,) = shlex.split(text)
    key, _, value = override.partition("=")
    assert OverridesParser.create().parse_override(typed).value() == value
    assert typed.startswith(f'{key}="')


def test_a_shell_is_told_what_to_type(run: Shell, tmp_path: Path) -> None:
    said = refused(run(f"data.path={tmp_path}/a(1).npz"))
    assert said.splitlines()[1] == f"'data.path=\"{tmp_path}/a(1).npz\"'"
    assert "https:" not in said
    typed = shlex.split(said.splitlines()[1])
    refused(run("data=npz", *typed), f"data.path={tmp_path}/a(1).npz: cannot be read: No such file")


def test_commas_in_a_single_run_are_several_values(run: Shell) -> None:
    said = refused(run("data.path=/tmp/a,b.npz"))
    assert len(said.splitlines()) == 1
    assert "add -m" in said
    assert "'data.path=\"/tmp/a,b.npz\"' is one text" in said
    assert "'data.path=[/tmp/a,b.npz]' is a list" in said


@pytest.mark.parametrize("value", ["{}", "{{a:{}}}", "{},1"])
def test_lists_within_lists_are_refused_whatever_the_process_could_read(value: str) -> None:
    """Compilers raise the recursion limit; what is above it then ends OmegaConf, not the parser."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        for depth in (DEEPEST + 1, 500):
            override = f"measure.targets={value.format('[' * depth + ']' * depth)}"
            with pytest.raises(ConfigError, match=r"^measure\.targets: .* at most 32 deep$"):
                check_parseable([override])
        check_parseable([f"measure.targets={value.format('[' * (DEEPEST - 1) + ']' * (DEEPEST - 1))}"])
    finally:
        sys.setrecursionlimit(limit)
