"""The command line: `toeplitz show | info | export | verify | explain | demo`."""

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

import toeplitz
from toeplitz.calling import judge
from toeplitz.certifying import (
    certify_command,
    check_certificate_command,
    prove_command,
)
from toeplitz.conv import Conv
from toeplitz.conv_transpose import ConvTranspose
from toeplitz.cost import LAYOUTS
from toeplitz.export import SUFFIXES, replacing, write
from toeplitz.judging import explain_command, verify_command
from toeplitz.memory import readable
from toeplitz.options import (
    FileName,
    geometry_options,
    kernel_of,
    layer_of,
    number_type,
    shape,
    weights_of,
)
from toeplitz.sparse import FORMATS

# What there is to say about the bytes of each format.
NOTES = {
    "csr": "with values of {}",
    "bsr": "in layout channels_last: a block for each tap and position",
    "dense": "with all its zeros",
    "operator": "not built, only multiplied by",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status; what is wrong is told in one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # rather a question mark than no output
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        status = group.main(given or ["--help"], "toeplitz", standalone_mode=False)
        sys.stdout.flush()
        return int(status or 0)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "toeplitz"
        return _refuse(f"{error.format_message().rstrip('.')} (see {command} --help)")
    except click.Abort:
        return _refuse("interrupted", 130)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.filename is not None:
            return _refuse(f"{error.filename}: {reason}")
        with contextlib.suppress(OSError):  # spare Python's last flush, which would fail again
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _refuse(f"cannot print: {reason}")
    except (ValueError, TypeError, MemoryError, ImportError) as error:
        return _refuse(str(error) or "out of memory")


def _refuse(sentence: str, status: int = 2) -> int:
    click.echo(f"toeplitz: {' '.join(sentence.split())}", err=True)
    return status


class InOrder(click.Group):
    """A group that lists its commands in the order in which they are written."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(toeplitz.__version__, message="toeplitz %(version)s")
def group() -> None:
    """Convolutions as explicit sparse matrices.

    \b
    Examples:
      toeplitz show --size 8 --kernel a,b,c
      toeplitz info --input 3x32x32 --weight 10x3x5x5 --padding 2
      toeplitz export T.npz --input 1x8 --kernel 1,2,1
      toeplitz verify homework.py:conv2d
      toeplitz demo
    """


@group.command()
@click.option(
    "--size", required=True, callback=shape, help="of the input: 8, or for an image 4x5 or 4,5"
)
@click.option("--kernel", required=True, help='letters or numbers: a,b,c or, in rows, "1,0;0,-1"')
@geometry_options
@click.option("--latex", is_flag=True, help="print it as LaTeX (with the xcolor package)")
def show(size: tuple[int, ...], kernel: str, latex: bool, **options: Any) -> None:
    """Print the matrix of a convolution, each tap in its own colour.

    With --transpose the size is that of the transposed convolution's input.

    \b
    Examples:
      toeplitz show --size 8 --kernel a,b,c
      toeplitz show --size 7 --kernel a,b,c --stride 2
      toeplitz show --size 3 --kernel a,b,c --stride 2 --transpose
      toeplitz show --size 7 --kernel 1/4,1/2,1/4 --padding 1 --padding-mode circular
      toeplitz show --size 4x5 --kernel "a,b;c,d" --stride 2x1 --padding same_upper
      toeplitz show --size 3x3 --kernel "a,b;c,d" --latex
    """
    from rich.console import Console
    from rich.text import Text

    from toeplitz.picture import picture

    rows = kernel_of(kernel)
    if len(size) > 2:
        raise click.UsageError(f"--size must have one or two axes, 8 or 4x5: got {len(size)}")
    if min(size) < 1:
        raise click.UsageError(f"--size must be at least 1: got {min(size)} in {size}")
    if len(size) == 1 and len(rows) > 1:
        raise click.UsageError(
            f"--size must have two axes, such as 4x5, for a kernel of {len(rows)} rows: got {size}"
        )
    taps = np.array(rows)[None, None] if len(size) == 2 else np.array(rows)[None]
    layer = layer_of((1, *size), taps.shape, **options)
    drawn = picture(layer, taps)
    if latex:
        click.echo(drawn.latex())
        return
    console = Console(highlight=False)
    if console.is_terminal:
        drawn.fitting_gap(console.width)
    T, of = "T", ""
    if isinstance(layer, ConvTranspose):
        T, of = "Tᵀ", f"\nthe transpose of {layer.conv}"
    header = Text(f"{layer}{of}\n", "bold").append(
        f"y = {T} x with {T} {(drawn.rows, drawn.columns)}, "
        f"x {layer.input_shape}, y {layer.output_shape}\n",
        "not bold",
    )
    console.print(header, soft_wrap=True)
    console.print(drawn, soft_wrap=True)


@group.command()
@click.option(
    "--input", "inputs", required=True, callback=shape, help="channels and sizes: 3x32x32"
)
@click.option("--weight", required=True, callback=shape, help="as in PyTorch: 10x3x5x5")
@geometry_options
@click.option("--groups", type=int, help="independent groups of channels")
@click.option(
    "--dtype", default="float32", callback=number_type, help="of the values; else float32"
)
@click.option("--batch", default=1, type=click.IntRange(1), help="columns of a product; else 1")
def info(inputs: Any, weight: Any, dtype: np.dtype[Any], batch: int, **options: Any) -> None:
    """Shapes, counts and bytes of a layer, and the route to take, before anything is built.

    The times are estimates from a few rates of this machine, which are measured by the first call
    and kept in the user's cache folder, or in $TOEPLITZ_CACHE_DIR.

    \b
    Examples:
      toeplitz info --input 3x32x32 --weight 10x3x5x5 --padding 2 --batch 32
      toeplitz info --input 3x224x224 --weight 96x3x11x11 --stride 4 --padding 2
      toeplitz info --input 64x28x28 --weight 64x1x3x3 --groups 64 --padding same
      toeplitz info --input 64x7x7 --weight 64x32x3x3 --stride 2 --padding 1 \\
          --transpose --output-padding 1
    """
    layer = layer_of(inputs, weight, **options)
    cost = layer.cost(dtype)
    rows, columns = cost.shape
    weights = layer.weight_count
    transposed = isinstance(layer, ConvTranspose)
    lines = [
        ("input", str(layer.input_shape), ""),
        ("output", str(layer.output_shape), ""),
        ("parameters", f"{layer.parameters:,}",
         f"{weights:,} weights, {layer.parameters - weights:,} biases"),
        ("multiply-adds", f"{layer.macs:,}",
         "counting those cut off" if transposed else "counting those with padded zeros"),
        ("", f"{layer.triple_count:,}",
         "that reach an output" if transposed else "that touch an input"),
        ("matrix", f"{rows:,} x {columns:,}", ""),
        ("entries", f"{cost.nnz:,}", f"stored, of {rows * columns:,}"),
        *((name, readable(size), NOTES.get(name, "").format(dtype))
          for name, size in cost.bytes.items()),
    ]  # fmt: skip
    width = max(len(value) for _, value, _ in lines)
    click.echo(f"{layer}\n")
    for name, value, note in lines:
        click.echo(f"  {name:13}  {value:>{width}}  {note}".rstrip())
    click.echo(f"\n{cost.advice(batch)}")


@group.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--input", "inputs", required=True, callback=shape, help="channels and sizes: 3x32x32"
)
@click.option("--weight", callback=shape, help="their shape, as in PyTorch: 10x3x5x5")
@click.option("--weights", type=FileName(path_type=Path), help="the weights, a file of np.save")
@click.option("--kernel", help='or one channel of numbers: 1,2,1 or, in rows, "1,0;0,-1"')
@click.option(
    "--seed", type=click.IntRange(0), help="or float32 numbers drawn from a normal distribution"
)
@geometry_options
@click.option("--groups", type=int, help="independent groups of channels")
@click.option("--unfolding", is_flag=True, help="E instead, with patches = E x; takes no weights")
@click.option("--format", "form", type=click.Choice(FORMATS[:4]), help="of an .npz file; else csr")
@click.option("--layout", type=click.Choice(LAYOUTS), help="order of x and y; channels_last: bsr")
@click.option("--force", is_flag=True, help="replace a file that is there already")
def export(out: Path, inputs: Any, weight: Any, weights: Path | None, kernel: str | None,
           seed: int | None, unfolding: bool, form: str | None, layout: str | None, force: bool,
           **geometry: Any) -> None:  # fmt: skip
    """Write the matrix of a layer to a file: .npz, .mtx or .mat.

    .npz is for scipy.sparse.load_npz, .mtx is MatrixMarket's text, .mat is for MATLAB, where the
    matrix is called T, or E with --unfolding.

    \b
    Examples:
      toeplitz export T.npz --input 1x8 --kernel 1,2,1
      toeplitz export T.mtx --input 1x6x6 --kernel "1,0,-1;1,0,-1;1,0,-1"
      toeplitz export T.mat --input 3x32x32 --weight 10x3x5x5 --seed 0 --padding 2
      toeplitz export E.npz --input 3x32x32 --weight 10x3x5x5 --unfolding --format csc
    """
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise click.UsageError(
            f"OUT must end in .npz (scipy.sparse), .mtx (MatrixMarket) or .mat (MATLAB): "
            f"got '{out}'"
        )
    if form and suffix != ".npz":
        raise click.UsageError(f"--format is for .npz: {suffix} has only one")
    if unfolding:
        others = {"--transpose": geometry["transpose"] or None, "--layout": layout,
                  "--weights": weights, "--kernel": kernel, "--seed": seed}  # fmt: skip
        for name in (name for name, value in others.items() if value is not None):
            raise click.UsageError(f"{name} does not go with --unfolding")
        if weight is None:
            raise click.UsageError("--unfolding needs the shape of the weights: add --weight")
        layer = layer_of(inputs, weight, **geometry)
    else:
        w = weights_of(weights, kernel, seed, len(inputs) + 1, weight)
        layer = layer_of(inputs, weight or w.shape, **geometry)
    if out.exists() and not force:
        raise click.UsageError(f"{out} is there already: add --force to replace it")
    with replacing(out) as file:
        if isinstance(layer, Conv) and unfolding:
            name, matrix = "E", layer.unfolding().asformat(form or "csr")
        else:
            name, matrix = "T", layer.matrix(w, form or "csr", layout or LAYOUTS[0])
        write(file, suffix, name, matrix)
    rows, columns = matrix.shape
    what = "unfolding E" if unfolding else "matrix"
    click.echo(
        f"{out}: the {what} of {layer}, {rows:,} x {columns:,}, {matrix.nnz:,} stored entries, "
        f"{matrix.dtype}, {readable(out.stat().st_size)}"
    )


group.add_command(verify_command)
group.add_command(explain_command)
group.add_command(certify_command)
group.add_command(check_certificate_command)
group.add_command(prove_command)


@group.command()
def demo() -> int:
    """The lectures' matrices and numbers, and a real layer, checked.

    The layer is AlexNet's first: the exit status is 1 if anything is not as it should be.

    \b
    Examples:
      toeplitz demo
    """
    from rich.console import Console

    from toeplitz.demo import run

    return 0 if run(Console(highlight=False), judge("verify.oracle")) else 1
