"""The judge's references: convolution and its gradients, by sliding windows and by FFT.

Two ways that share nothing with `toeplitz`: no import, no table of indices. NumPy pads, slides
the window and transforms. Both take a batch `x` (N, C, *S) and a weight `w` (O, C/G, *K), with any
number of spatial axes, and these keywords:

    stride, dilation, input_dilation   an int, or one per axis
    padding                            an int, one per axis, or pairs ((lo, hi), ...);
                                       a negative entry crops, before the rest is padded
    groups                             G divides C and O
    padding_mode                       "zeros", "circular", "reflect" or "replicate"

Where no window fits the output is empty. Gradients of complex arrays follow PyTorch: the
conjugate transpose applied to g. The zeros that padding and dilation put in are multiplied like
any number, so inf and nan meet them too.
"""

from verify.oracle.fourier import fft_conv, fft_grad_w, fft_grad_x
from verify.oracle.sliding import grad_b, sliding_conv, sliding_grad_w, sliding_grad_x

__all__ = [
    "fft_conv",
    "fft_grad_w",
    "fft_grad_x",
    "grad_b",
    "sliding_conv",
    "sliding_grad_w",
    "sliding_grad_x",
]
