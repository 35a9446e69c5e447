"""The kernel of toeplitz/device.py without a GPU: its very source, compiled as C++.

`compiled` stands in for cupy.RawKernel; the threads of a launch run one after the other.
"""

import ctypes
import hashlib
import subprocess

import numpy as np

BEFORE = """
#include <utility>
#define __global__
#define __align__(n) __attribute__((aligned(n)))
static struct { unsigned int x; } blockIdx, blockDim, threadIdx;
"""
# As cuLaunchKernel: pointers to the arguments, whose sizes the kernel knows.
AFTER = """
template <class... A, std::size_t... I>
static int call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>)
{
    kernel(*static_cast<A*>(arguments[I])...);
    return 0;
}

template <class... A>
static int launch(void (*kernel)(A...), unsigned blocks, unsigned threads, void** arguments,
                  const int* sizes, int count)
{
    const int expected[] = {sizeof(A)...};
    if (count != sizeof...(A))
        return 1;
    for (int i = 0; i < count; ++i)
        if (sizes[i] != expected[i])
            return 2;
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x)
            call(kernel, arguments, std::index_sequence_for<A...>());
    return 0;
}

extern "C" int run(unsigned blocks, unsigned threads, void** arguments, const int* sizes, int count)
{
    return launch(NAME, blocks, threads, arguments, sizes, count);
}
"""


def compiled(compiler, folder, change=lambda source: source):
    """A class to be taken for cupy.RawKernel, which compiles into the folder."""

    class RawKernel:
        def __init__(self, source, name):
            text = BEFORE + change(source) + AFTER.replace("NAME", name)
            library = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.so"
            if not library.exists():
                path = library.with_suffix(".cpp")
                path.write_text(text)
                command = [compiler, "-std=c++14", "-shared", "-fPIC", "-o", library, path]
                done = subprocess.run(command, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
            self._run = ctypes.CDLL(str(library)).run

        def __call__(self, grid, block, arguments):
            held = [np.intp(a.ctypes.data) if isinstance(a, np.ndarray) else a for a in arguments]
            cells = [np.array(value) for value in held]
            pointers = (ctypes.c_void_p * len(cells))(*(cell.ctypes.data for cell in cells))
            sizes = (ctypes.c_int * len(cells))(*(cell.nbytes for cell in cells))
            assert self._run(*grid, *block, pointers, sizes, len(cells)) == 0

    return RawKernel
