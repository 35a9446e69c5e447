"""What a broken law looks like where no known mistake predicts the values."""

from verify.violation import Violation

CUT_OFF = "large numbers cut off, or kept in too few bits"
LOOKS = {
    "CV103": "computes in a dtype of its own",
    "CV105": "low-precision accumulation",
    "CV120": CUT_OFF,
    "CV121": CUT_OFF,
    "CV130": CUT_OFF,
    "CV150": "an argument changed in place",
    "CV151": "something random or uninitialised",
    "CV152": "memory read as if it were contiguous",
    "CV153": "state kept between calls",
    "CV154": "one item of the batch taken for another",
    "CV160": "a NaN or an infinity taken for a number",
    "CV161": "padding made by multiplying with zero",
    "CV170": "shapes that do not fit are cut to fit",
}


def looks_like(found: Violation) -> str:
    """In words, empty if the law says nothing more; some data show only one thing."""
    if found.code in LOOKS:
        return LOOKS[found.code]
    if found.case.op.family == "max_pool" and found.case.data in ("long sums", "rounding"):
        return CUT_OFF
    return {"large": CUT_OFF, "nan": LOOKS["CV160"]}.get(found.case.data, "")
