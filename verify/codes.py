"""The laws by their stable codes: what each says, and what breaking it means."""

from typing import NamedTuple


class Code(NamedTuple):
    """A law. sentence: what is said of an implementation that breaks it."""

    title: str
    sentence: str
    meaning: str


CODES = {
    "CV101": Code("value", "is not T(w) x + b",
        "The output is the layer's matrix times the input, plus the bias."),
    "CV102": Code("shape", "returns another shape",
        "The output has floor((N + P - D (K - 1) - 1) / S) + 1 places on each axis."),
    "CV103": Code("dtype", "returns another dtype",
        "The result has the dtype of its arguments."),
    "CV104": Code("return type", "does not return an array",
        "The forward pass returns one numpy array, the backward pass three."),
    "CV105": Code("accumulation", "sums in too low a precision",
        "Sums that the dtype holds come out exactly; halves are summed in float32, rounded once."),
    "CV106": Code("after y", "returns a wrong result after y",
        "Indices are those of the first maxima; the running mean mixes in the batch's."),
    "CV107": Code("running variance", "returns a wrong running variance",
        "It mixes in the unbiased variance of the batch."),
    "CV110": Code("bias", "treats the bias wrongly",
        "The bias is added once to each output of its channel."),
    "CV120": Code("linear in x", "is not linear in x",
        "f(x + x') = f(x) + f(x') and f(s x) = s f(x), also for a large s."),
    "CV121": Code("linear in w", "is not linear in w", "The same in the weights."),
    "CV130": Code("adjoint", "and its backward pass are no adjoints",
        "The gradient to x is the transpose: <T x, g> = <x, Tᵀ g>."),
    "CV140": Code("grad_x", "has a wrong gradient to x", "grad_x = T(w)ᵀ g."),
    "CV141": Code("grad_w", "has a wrong gradient to w", "grad_w = U(x)ᵀ g, over all items."),
    "CV142": Code("grad_b", "has a wrong gradient to b",
        "grad_b is the sum of g over items and positions."),
    "CV143": Code("ties", "sends the gradient of a tie to the wrong place",
        "Of equal maxima the first wins, and the whole gradient goes to it."),
    "CV150": Code("arguments kept", "writes to its arguments", "A call changes no argument."),
    "CV151": Code("deterministic", "is not deterministic", "The same call gives the same bits."),
    "CV152": Code("memory layout", "depends on how its arguments lie in memory",
        "Only the values of the arguments count, not their strides."),
    "CV153": Code("history", "depends on earlier calls",
        "A call gives the same result whatever was called before."),
    "CV154": Code("items", "mixes the items of a batch",
        "Each item gives what it gives alone."),
    "CV160": Code("non-finite kept", "loses a NaN or an infinity",
        "An output that reads a NaN or an infinity shows it."),
    "CV161": Code("non-finite spread", "spreads a NaN or an infinity",
        "An output that does not read a NaN or an infinity is finite: padding is not x times 0."),
    "CV170": Code("wrong call", "accepts a wrong call", "A call that no layer answers is refused."),
    "CV171": Code("right call", "refuses a right call", "A right call gets an answer."),
    "CV190": Code("crash", "crashes", "A call does not end the process."),
    "CV191": Code("hang", "does not come back", "A call ends within the time limit."),
}  # fmt: skip
