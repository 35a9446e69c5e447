"""Vectors as LLVM has them: loaded, stored and spread by instructions that a loop is made of.

numba compiles a loop anew when the file of the loop changes, not when this one does.
"""

from collections.abc import Callable, Sequence
from platform import machine
from typing import Any, TypeVar

from llvmlite import binding, ir
from numba.core import cgutils

T = TypeVar("T")

FEATURES = binding.get_host_cpu_features()
BYTES = 64 if FEATURES.get("avx512f") else 32 if FEATURES.get("avx") else 16  # of a vector
REGISTERS = 32 if FEATURES.get("avx512f") or FEATURES.get("neon") else 16

# What the registers of vectors are called between compilers and assemblers.
LETTER = {"x86_64": "v", "AMD64": "v", "aarch64": "w", "arm64": "w"}.get(machine())

INT, PLACE = ir.IntType(32), ir.IntType(64)
BYTE = ir.IntType(8).as_pointer()
CONTRACT = ("contract",)  # a product and a sum may be one instruction, rounded once


def place(number: int) -> Any:
    """A number of 64 bits, as addresses are."""
    return ir.Constant(PLACE, number)


def kind_of(dtype: Any) -> Any:
    """The numbers of a dtype that numba has."""
    return ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()


def one_of(builder: Any, which: Any, cases: Sequence[T], write: Callable[[T], None]) -> None:
    """The instructions of the case with a number; write: writes those of a case."""
    end = builder.append_basic_block("done")
    chosen = builder.switch(which, end)
    for number, case in enumerate(cases):
        chosen.add_case(place(number), block := builder.append_basic_block("case"))
        builder.position_at_end(block)
        write(case)
        builder.branch(end)
    builder.position_at_end(end)


class Vectors:
    """Instructions for vectors of one kind of numbers."""

    def __init__(self, builder: Any, number: Any) -> None:
        self.build = builder
        self.size = {"float": 4, "double": 8, "i32": 4}[str(number)]
        self.count = BYTES // self.size
        self.kind = ir.VectorType(number, self.count)
        letter = "i" if isinstance(number, ir.IntType) else "f"
        self._name = f"v{self.count}{letter}{8 * self.size}.p0"
        self.zero = ir.Constant(self.kind, [0] * self.count)
        self.nobody = ir.Constant(ir.VectorType(ir.IntType(1), self.count), [0] * self.count)

    def spread(self, value: Any) -> Any:
        """A vector of one value."""
        kind = ir.VectorType(value.type, self.count)
        none, first = ir.Constant(kind, ir.Undefined), ir.Constant(INT, 0)
        one = self.build.insert_element(none, value, first)
        order = ir.Constant(ir.VectorType(INT, self.count), [0] * self.count)
        return self.build.shuffle_vector(one, none, order)

    def first(self, many: Any) -> Any:
        """Which numbers of a vector are among the first so many."""
        order = ir.Constant(ir.VectorType(PLACE, self.count), list(range(self.count)))
        return self.build.icmp_signed("<", order, self.spread(many))

    def at(self, address: Any) -> Any:
        """A pointer to a vector."""
        return self.build.inttoptr(address, self.kind.as_pointer())

    def load(self, pointer: Any, there: Any = None) -> Any:
        """The vector at a pointer; there: the numbers that are, the others are 0."""
        if there is None:
            return self.build.load(pointer, align=self.size)
        given = [pointer, ir.Constant(INT, self.size), there, self.zero]
        return self.call(f"llvm.masked.load.{self._name}", self.kind, given)

    def store(self, value: Any, pointer: Any, there: Any = None, past: bool = False) -> None:
        """past: beside the caches, where it will be read from memory; the pointer is aligned."""
        if there is None:
            stored = self.build.store(value, pointer, align=BYTES if past else self.size)
            if past:
                one = self.build.module.add_metadata([ir.Constant(INT, 1)])
                stored.set_metadata("nontemporal", one)
        else:
            given = [value, pointer, ir.Constant(INT, self.size), there]
            self.call(f"llvm.masked.store.{self._name}", ir.VoidType(), given)

    def claim(self, pointer: Any, written: bool = True) -> None:
        """Have a line brought to the first cache, to be written soon, or to the second."""
        hints = [ir.Constant(INT, number) for number in ((1, 3, 1) if written else (0, 2, 1))]
        given = [self.build.bitcast(pointer, BYTE), *hints]
        self.call("llvm.prefetch.p0", ir.VoidType(), given)

    def opaque(self, number: Any) -> Any:
        """A number of 64 bits of which the compiler is not told how it came about."""
        kind = ir.FunctionType(PLACE, [PLACE])
        return self.build.asm(kind, "", "=r,0", [number], False)

    def here(self, value: Any) -> Any:
        """A vector that is computed here, before what stands behind is loaded.

        The compiler would load more beforehand than there are registers, and put it aside.
        """
        if not LETTER:
            return value
        kind = ir.FunctionType(self.kind, [self.kind])
        return self.build.asm(kind, "", f"={LETTER},0,~{{memory}}", [value], True)

    def sum(self, total: Any, left: Any, right: Any) -> Any:
        """total + left * right."""
        product = self.build.fmul(left, right, flags=CONTRACT)
        return self.build.fadd(total, product, flags=CONTRACT)

    def call(self, name: str, kind: Any, given: list[Any]) -> Any:
        """Call what LLVM has by a name."""
        called = ir.FunctionType(kind, [value.type for value in given])
        function = cgutils.get_or_insert_function(self.build.module, called, name)
        return self.build.call(function, given)
