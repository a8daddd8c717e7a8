"""Every cell: its equations, paper, variant, parameters and options, from its `SPEC`."""

from docs.generate.configuration import allowed
from docs.generate.markdown import table
from harness.config.catalogue import cell_names
from harness.config.checks import cell_option
from harness.config.compose import CONF
from harness.model.cell import CellSpec, cell_spec


def sections() -> str:
    """One section for each cell, in the order of their names."""
    return "\n".join(_section(cell_spec(name)) for name in cell_names())


def _section(spec: CellSpec) -> str:
    parts = [
        f"## {spec.title}",
        f"`cell={spec.name}`",
        f"```text\n{spec.equations}\n```",
        f"{spec.paper}.",
        f"Variant: {spec.variant}" if spec.variant else "",
        table(
            ("parameter", "shape", "role"),
            (
                (f"`{p.name}`", f"({', '.join(p.shape)})", p.role + ("" if p.trained else ", not trained"))
                for p in spec.params
            ),
        ),
    ]
    if spec.options:
        rows = (
            (f"`cell.{name}`", allowed(cell_option(option)), option.description)
            for name, option in spec.options.items()
        )
        parts.append(table(("option", "allowed", "meaning"), rows))
    if spec.refuses:
        refused = (f"- `{what}`: {reason}" for what, reason in spec.refuses.items())
        parts.append("Has no meaning for it:\n\n" + "\n".join(refused))
    settings = (CONF / "cell" / f"{spec.name}.yaml").read_text("utf-8")
    parts.append(f"Its settings, `conf/cell/{spec.name}.yaml`:\n\n```yaml\n{settings}```")
    return "\n\n".join(part for part in parts if part) + "\n"
