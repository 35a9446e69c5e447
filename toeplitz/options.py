"""What the options of the command line say: shapes, steps, padding, kernels, layers."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import click
import numpy as np

from toeplitz.conv import Conv
from toeplitz.conv_transpose import ConvTranspose

Layer: TypeAlias = Conv | ConvTranspose


class FileName(click.Path):
    """The name of a file; what looks like another option is refused, as it would be its name."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        name = str(value)
        if name.startswith("-") and name != "-":
            raise click.UsageError(
                f"{param.opts[0]} must be a file: got {name!r}, write ./{name} if it is one",
                ctx,
            )
        return super().convert(value, param, ctx)


class Whole(click.IntRange):
    """An integer that is not too small, refused in our words."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            raise click.UsageError(
                f"{param.opts[0]} must be an integer of {self.min} or more: got {value!r}", ctx
            ) from None


def shape(
    context: click.Context,
    option: click.Parameter,
    text: str | None,
    form: str = "integers with an x between, such as 3x32x32",
) -> Any:
    """3x32x32 or 3,32,32 as a tuple; None for an option that is not there."""
    if text is None:
        return None
    try:
        return tuple(int(entry) for entry in re.split("[x,]", text))
    except ValueError:
        raise click.UsageError(f"{option.opts[0]} must be {form}: got {text!r}", context) from None


def per_axis(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    """2 for all axes, or one integer per axis: 2x1 or 2,1."""
    numbers = shape(context, option, text, "an integer, or one per axis such as 2x1")
    return numbers[0] if numbers and len(numbers) == 1 else numbers


def sides(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    """A name, an integer, one per axis (1x2), or before:after for an axis (1:0 or 1:0x0:1)."""
    if text is None or re.fullmatch("[a-z_]+", text):
        return text
    try:
        entries = [tuple(map(int, entry.split(":"))) for entry in re.split("[x,]", text)]
    except ValueError:
        raise click.UsageError(
            f"--padding must be a name, an integer, one per axis such as 1x2, or before:after "
            f"such as 1:0: got {text!r}",
            context,
        ) from None
    flat = [entry[0] if len(entry) == 1 else entry for entry in entries]
    return flat[0] if len(flat) == 1 and isinstance(flat[0], int) else tuple(flat)


def number_type(context: click.Context, option: click.Parameter, text: str) -> np.dtype[Any]:
    """A dtype that scipy.sparse holds."""
    with contextlib.suppress(TypeError, ValueError, SyntaxError):
        dtype = np.dtype(text)
        if dtype.kind in "iufc" and dtype != np.float16:
            return dtype
    raise click.UsageError(
        f"{option.opts[0]} must be a type of numbers that scipy.sparse holds, "
        f"such as float32: got {text!r}",
        context,
    )


def geometry_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that Conv and ConvTranspose have as keywords."""
    names = "valid, full, same, same_upper, same_lower"
    for option in reversed(
        [
            click.option("--stride", callback=per_axis, help="2, or one per axis: 2x1"),
            click.option(
                "--padding", callback=sides, help=f"1, 1x2, before:after such as 1:0, or {names}"
            ),
            click.option("--dilation", callback=per_axis, help="2, or one per axis: 2x1"),
            click.option("--padding-mode", help="zeros, circular, reflect or replicate"),
            click.option(
                "--input-dilation", callback=per_axis, help="2 puts a zero between inputs"
            ),
            click.option("--transpose", is_flag=True, help="a transposed convolution instead"),
            click.option("--output-padding", callback=per_axis, help="of a transposed convolution"),
        ]
    ):
        command = option(command)
    return command


def layer_of(inputs: Any, weights: Any, transpose: bool, **options: Any) -> Layer:
    """The layer that the options describe."""
    given = {name: value for name, value in options.items() if value is not None}
    others = ("padding_mode", "input_dilation") if transpose else ("output_padding",)
    for name in others:
        if name in given:
            verb = "does not go" if transpose else "goes only"
            raise click.UsageError(f"--{name.replace('_', '-')} {verb} with --transpose")
    return (ConvTranspose if transpose else Conv)(inputs, weights, **given)


def kernel_of(text: str) -> list[list[str]]:
    """The rows of a kernel, a,b;c,d: each entry a name or a number."""
    from toeplitz.picture import number  # rich is only for those who draw

    rows = [[entry.strip() for entry in row.split(",")] for row in text.split(";")]
    for entry in (entry for row in rows for entry in row):
        if not entry.isidentifier() and number(entry) is None:
            raise click.UsageError(
                f"--kernel must have a number or a name in each place: got {entry!r} in {text!r}"
            )
    lengths = [len(row) for row in rows]
    if len(set(lengths)) > 1:
        raise click.UsageError(
            f"--kernel must have rows of equal length: got {lengths} in {text!r}"
        )
    return rows


def weights_of(
    file: Path | None, kernel: str | None, seed: int | None, dims: int, drawn: Any
) -> Any:
    """The weights from one of three places: a file, a kernel of numbers, a seed.

    dims: how many axes they have; drawn: the shape that a seed is for.
    """
    from toeplitz.picture import number  # rich is only for those who draw

    places = {"--weights": file, "--kernel": kernel, "--seed": seed}
    given = [name for name, value in places.items() if value is not None]
    if len(given) != 1:
        raise click.UsageError(
            f"the weights must come from one of --weights w.npy, --kernel 1,2,1 and --seed 0: "
            f"got {' and '.join(given) or 'none'}"
        )
    if file is not None:
        with open(file, "rb") as opened:
            try:
                return np.lib.format.read_array(opened, allow_pickle=False)
            except ValueError as error:
                raise ValueError(f"{file} is not an array that np.save wrote: {error}") from None
    if kernel is not None:
        numbers = [[number(entry) for entry in row] for row in kernel_of(kernel)]
        if any(entry is None for row in numbers for entry in row):
            raise click.UsageError(f"--kernel must hold numbers here: got {kernel!r}")
        array = np.array(numbers)
        whole = all(entry.denominator == 1 for entry in array.flat)
        try:
            array = array.astype(np.int64 if whole else np.float64)
        except OverflowError:
            raise click.UsageError(
                f"--kernel must hold numbers that fit into int64 or float64: got {kernel!r}"
            ) from None
        return array[None, None] if dims == 4 else array[None]
    if drawn is None:
        raise click.UsageError("--seed needs the shape of the weights: add --weight 10x3x5x5")
    return np.random.default_rng(seed).standard_normal(drawn, np.float32)
