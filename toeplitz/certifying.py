"""The commands `toeplitz certify`, `check-certificate` and `prove`: from testing to proof."""

from pathlib import Path
from typing import Any

import click

from toeplitz.calling import judge
from toeplitz.options import FileName, geometry_options, layer_of, shape

DTYPES = ("float64", "float32", "int64", "int32")


@click.command("certify")
@click.argument("target")
@click.option(
    "--input", "inputs", required=True, callback=shape, help="channels and sizes: 8x16x16"
)
@click.option("--weight", required=True, callback=shape, help="as in PyTorch: 8x8x3x3")
@geometry_options
@click.option("--groups", type=int, help="independent groups of channels")
@click.option("--dtype", type=click.Choice(DTYPES), default="float64", help="else float64")
@click.option("--seed", type=click.IntRange(0), default=0, help="of what is drawn; else 0")
@click.option("--bound", type=click.IntRange(1), default=60, help="chance of 2^-BOUND; else 60")
@click.option("--out", type=FileName(dir_okay=False, path_type=Path), help="write it as JSON")
def certify_command(
    target: str, inputs: Any, weight: Any, dtype: str, seed: int, bound: int, out: Path | None,
    **geometry: Any,
) -> int:  # fmt: skip
    """Show that an implementation is right for all inputs of one geometry.

    TARGET is module:callable or file.py:callable, as for `toeplitz verify`, and runs in this
    process. The certificate states what was checked, and the chance that a wrong one passed. The
    exit status is 1 if it is wrong.

    \b
    Examples:
      toeplitz certify homework.py:conv2d --input 8x16x16 --weight 8x8x3x3 --padding 1
      toeplitz certify homework.py:conv1d --input 2x9 --weight 3x2x4 --out conv1d.json
    """
    layer = layer_of(inputs, weight, **geometry)
    certificate = judge("verify.certifying")
    suspect = _loaded(target, certificate.case_of(layer, dtype).op.name)
    try:
        made = certificate.certify(suspect, layer, dtype=dtype, seed=seed, bound=bound)
    except certificate.NotRight as error:
        click.echo(f"{target} is not right on {layer}\n  {error}")
        return 1
    if out is not None:
        out.write_text(made.to_json() + "\n", encoding="utf-8")
    click.echo(str(made))
    return 0


@click.command("check-certificate")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target")
def check_certificate_command(file: Path, target: str) -> int:
    """Check a certificate again: all that it claims is done anew on TARGET.

    The exit status is 1 if TARGET is wrong now or differs from then, 2 if FILE is no certificate,
    was changed, or claims more than was checked.

    \b
    Examples:
      toeplitz check-certificate conv1d.json homework.py:conv1d
    """
    module = judge("verify.certifying")
    certificate = module.Certificate.from_json(file.read_text(encoding="utf-8"))
    try:
        module.recheck(certificate, _loaded(target, certificate.op))
    except module.NotRight as error:
        click.echo(f"{target} is not what {file} says\n  {error}")
        return 1
    click.echo(str(certificate))
    return 0


@click.command("prove")
def prove_command() -> int:
    """Prove the index arithmetic for all sizes, with z3.

    \b
    Examples:
      toeplitz prove
    """
    try:
        lines = list(judge("verify.proofs").told())
    except ModuleNotFoundError as error:
        if error.name != "z3":
            raise
        raise ImportError("z3 is not installed: pip install 'conv-toeplitz[proof]'") from None
    click.echo("\n".join(lines))
    return 0 if all(" proved " in line for line in lines) else 1


def _loaded(target: str, op: str) -> Any:
    return judge("verify.targets").load(target, op=op)
