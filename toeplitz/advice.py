"""Which route to a layer's products is the right one: times from a few rates, and a reason."""

from dataclasses import dataclass
from math import floor, log10, prod

from toeplitz import blas, memory
from toeplitz.compiled import WORTH, loops
from toeplitz.cost import Cost
from toeplitz.machine import WIDE, Rates
from toeplitz.memory import readable
from toeplitz.operators.blocks import THREADED
from toeplitz.operators.lanes import MULTIPLY, START
from toeplitz.operators.size import by_blas, plan_of, workers
from toeplitz.products import READ, RUN, SMALL
from toeplitz.threads import threads

MANY = 100  # products that a matrix is built for, where it is built to be kept
ALIKE = 2  # times that the estimate cannot tell apart: then the fewest bytes count
WITHOUT_BLAS = 2  # entries of CSR that take as long as a multiply-add of integers
BLOCKS = 2.5  # multiply-adds of BLAS that take as long as one by the blocks of conv.product
GATHERED = 6  # the same without compiled loops: BLAS multiplies what is gathered before
LINE_RUNS = 3  # runs of alike positions along a line: two borders, and what lies between
ALONE = 7  # the same where blocks have one row, as those of depthwise layers
BY_NUMPY = 10  # entries of CSR that take as long as a number that numpy moves or multiplies


@dataclass(frozen=True)
class Route:
    """One way to the products: seconds to build it and for one product, its bytes, its fit."""

    build: float
    product: float
    bytes: int
    fits: bool

    def total(self, products: int) -> float:
        """Seconds to build it and multiply so often."""
        return self.build + products * self.product


@dataclass(frozen=True)
class Advice:
    """The routes to a product, the best for many products, and why.

    routes: "csr", "bsr" and "dense" are those matrices with their own products, "product" is
    conv.product(w), the same CSR with products of ours, "operator" is conv.operator(w). batch:
    columns of a product. many, one: the best route to 100 products, to a single one; None where
    nothing fits into memory.
    why: what speaks for `many`. once: the same for a single product. All times are estimates from
    a few rates of the machine: they tell milliseconds from seconds, not 3 from 5.

    >>> import toeplitz
    >>> from toeplitz.machine import EXAMPLE
    >>> conv = toeplitz.Conv((16, 32, 32), (16, 16, 3, 3), padding=1)
    >>> conv.cost().advice(batch=32, rates=EXAMPLE).many
    'operator'
    """

    batch: int
    routes: dict[str, Route]
    many: str | None
    one: str | None
    why: str
    once: str

    def __str__(self) -> str:
        rows = [("", "to build", "a product")]
        for name, route in self.routes.items():
            built = "-" if name == "operator" else about(route.build)
            told = (built, about(route.product)) if route.fits else ("too large", "-")
            rows.append((_called(name), *told))
        table = [f"  {name:13}  {build:>10}  {product:>10}" for name, build, product in rows]
        columns = f"{self.batch} column{'s' if self.batch > 1 else ''}"
        return "\n".join(
            [
                f"estimated for this machine, a product with {columns}:",
                *(line.rstrip() for line in table),
                f"  {'many products':13}  {self.why}",
                f"  {'one product':13}  {self.once}",
            ]
        )


def advise(cost: Cost, batch: int, rates: Rates) -> Advice:
    """The advice for products with so many columns."""
    free = memory.available()
    both = batch * sum(cost.shape) * cost.dtype.itemsize  # x and y
    routes = {
        name: Route(*of(cost, batch, rates), size, free is None or size + both <= free)
        for name, of in ROUTES.items()
        for size in (cost.bytes["csr" if name == "product" else name],)
    }
    many, one = _best(routes, MANY), _best(routes, 1)
    if many is None or one is None:
        why = f"no route: x and y take {readable(both)}, {readable(free or 0)} are free"
        return Advice(batch, routes, many, one, why, why)
    why = f"{_called(many)}: {_reason(cost, routes, many, free)}"
    return Advice(batch, routes, many, one, why, _once(routes, one))


def _best(routes: dict[str, Route], products: int) -> str | None:
    """The route of the fewest bytes among those that are about as fast as the fastest."""
    possible = {name: route for name, route in routes.items() if route.fits}
    least = min((route.total(products) for route in possible.values()), default=0.0)
    alike = [name for name in possible if routes[name].total(products) <= ALIKE * least]
    return min(alike, key=lambda name: routes[name].bytes, default=None)


def _called(name: str) -> str:
    """A route as it is told."""
    return "conv.product" if name == "product" else name


def _matrices(routes: dict[str, Route]) -> dict[str, Route]:
    return {name: route for name, route in routes.items() if name != "operator"}


def _reason(cost: Cost, routes: dict[str, Route], many: str, free: int | None) -> str:
    size = readable(routes[many].bytes)
    if many == "operator":
        rival = _best(_matrices(routes), MANY)
        if rival is None:
            least = min(route.bytes for route in _matrices(routes).values())
            return f"no matrix fits: {readable(least)} at least, {readable(free or 0)} are free"
        ratio = routes[rival].product / routes[many].product
        longer = f"a product {times(ratio)} as long" if ratio > ALIKE else "be about as fast"
        return f"{_called(rival)} would take {readable(routes[rival].bytes)} and {longer}"
    if many == "dense":
        filled = cost.nnz / max(1, prod(cost.shape))
        if filled >= 0.5:
            return f"{filled:.0%} of its entries are stored anyway"
        return f"{size}, small enough for all its zeros"
    ratio = routes["operator"].product / routes[many].product
    than = f"; the operator takes {times(ratio)} as long" if ratio > ALIKE else ""
    layout = " in layout channels_last" if many == "bsr" else ""
    return f"{size}{layout}, built once{than}"


def _once(routes: dict[str, Route], one: str) -> str:
    rival = _best(_matrices(routes), 1)
    if one != "operator":
        built = f"{about(routes[one].total(1))} with its building"
        return f"{_called(one)} or a convolution library: {built}"
    said = "operator or a convolution library"
    if rival is None:
        return f"{said}; a matrix is the wrong tool"
    ratio = routes[rival].total(1) / routes[one].total(1)
    if ratio > ALIKE:
        return f"{said}; a matrix is the wrong tool: {times(ratio)} the time"
    return f"{said}; a matrix would not pay"


def _value(cost: Cost) -> float:
    """How many numbers of float32 one value counts for."""
    return cost.dtype.itemsize / 4


def _columns(batch: int) -> float:
    """Columns of a wide product that take as long in CSR as so many: each entry is read as well."""
    return (READ + batch) * WIDE / (READ + WIDE)


def _csr(cost: Cost, batch: int, rates: Rates) -> tuple[float, float]:
    size = cost.bytes["csr"]
    product = max(size * rates.byte, cost.nnz * _columns(batch) * rates.csr * _value(cost))
    return rates.start + size * rates.written, rates.call + product


def _product(cost: Cost, batch: int, rates: Rates) -> tuple[float, float]:
    conv = cost.geometry
    build, plain = _csr(cost, batch, rates)
    compiled, alone = loops(WORTH), conv.out_channels == conv.groups
    lines = LINE_RUNS * prod(conv.output_shape[1:-1])
    by_blas = not alone and cost.nnz * (READ + batch) >= RUN * lines
    if cost.dtype.char not in "fd" or cost.nnz * batch <= SMALL or not (compiled or by_blas):
        return build, plain
    work = (ALONE if alone else BLOCKS) if compiled else GATHERED
    values = cost.bytes["csr"] * rates.byte
    product = max(values, cost.nnz * batch * work * rates.multiply * _value(cost))
    return build, rates.start + product / threads()


def _bsr(cost: Cost, batch: int, rates: Rates) -> tuple[float, float]:
    conv, size = cost.geometry, cost.bytes["bsr"]
    width = conv.weight_shape[1]
    rate = rates.block * (1 + START / max(1, width))
    if width * conv.out_channels == conv.groups:  # blocks of one entry: CSR in disguise
        rate = rates.csr * _value(cost) * _columns(batch) / batch
    product = max(size * rates.byte, cost.nnz * batch * rate)
    return rates.start + size * rates.written, rates.call + product


def _dense(cost: Cost, batch: int, rates: Rates) -> tuple[float, float]:
    size, cells = cost.bytes["dense"], prod(cost.shape) * batch
    build = _csr(cost, batch, rates)[0] + 2 * size * rates.byte
    if cost.dtype.char not in blas.ROUTINES:
        return build, rates.call + cells * WITHOUT_BLAS * rates.csr * _value(cost)
    cores = threads() if batch > 1 and cells >= THREADED else 1
    return build, rates.call + max(size * rates.byte, cells * rates.multiply * _value(cost) / cores)


def _operator(cost: Cost, batch: int, rates: Rates) -> tuple[float, float]:
    """By the estimate that chooses the plan of the products, in this machine's multiply-adds."""
    conv, value = cost.geometry, _value(cost)
    positions = prod(conv.output_shape[1:])
    if not by_blas(conv, cost.dtype):
        # The patches are gathered, then multiplied.
        gathered = positions * prod(conv.kernel_size) * conv.in_channels
        work = (conv.macs * WITHOUT_BLAS * value + gathered * BY_NUMPY) * rates.csr
        return 0.0, rates.start + batch * work
    plan = plan_of(conv)
    if plan is None:
        work = conv.macs * rates.multiply * value
    elif plan.unit:
        # The rate is that of a layer whose loops are compiled, where they can be.
        number = rates.number if conv.macs >= WORTH else max(rates.number, BY_NUMPY * rates.csr)
        work = conv.macs * number * value
    else:
        nanoseconds = positions * conv.groups * plan.nanoseconds(1)
        work = nanoseconds / MULTIPLY * rates.multiply * value
    cores = float(workers(conv, batch))
    if not loops(WORTH):
        cores = (1 + cores) / 2  # its blocks are small, and each is called for
    return 0.0, rates.start + batch * (rates.item + work / cores)


ROUTES = {"csr": _csr, "product": _product, "bsr": _bsr, "dense": _dense, "operator": _operator}


def about(seconds: float) -> str:
    """A time to one digit, in the unit a person would use: 30 ms, minutes.

    >>> about(0.0312), about(2e-6), about(300)
    ('30 ms', '2 µs', 'minutes')
    """
    for limit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= limit:
            return name
    rounded = _digit(seconds)
    for size, unit in ((1, "s"), (1e-3, "ms")):
        if rounded >= size:
            return f"{rounded / size:.0f} {unit}"
    return f"{max(rounded / 1e-6, 1):.0f} µs"


def times(ratio: float) -> str:
    """How many times, to one digit: 3x, 40x."""
    return f"{_digit(ratio):,.0f}x"


def _digit(number: float) -> float:
    """A number rounded to its first digit."""
    return round(number, -floor(log10(number))) if number > 0 else 0.0
