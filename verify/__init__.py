"""The judge: does a convolution compute what its geometry says?"""

from verify.api import assert_conforms, check, diagnose, recover
from verify.report import Finding, Report

__all__ = ["Finding", "Report", "assert_conforms", "check", "diagnose", "recover"]
