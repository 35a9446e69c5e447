"""A report as JUnit XML, which CI servers show: one test case for each law."""

import re
from collections import Counter
from xml.etree import ElementTree

from verify.report import Report
from verify.verdicts import Verdict, verdicts

# What XML 1.0 cannot hold, not even escaped.
UNHELD = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report, target: str) -> str:
    """The report as XML text. A failure is a failure, what is known or was not asked is skipped."""
    judged = verdicts(report)
    outcomes = Counter(verdict.outcome for verdict in judged)
    counts = {
        "tests": str(len(judged)),
        "failures": str(outcomes["failed"]),
        "errors": "0",
        "skipped": str(outcomes["known"] + outcomes["skipped"]),
        "time": f"{report.seconds:.3f}",
    }
    name = _held(f"toeplitz verify {target}")
    root = ElementTree.Element("testsuites", name="toeplitz verify", attrib=counts)
    suite = ElementTree.SubElement(root, "testsuite", name=name, attrib=counts)
    for verdict in judged:
        suite.append(_case(verdict, name))
    ElementTree.SubElement(suite, "system-out").text = _held(report.summary)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text.decode()


def _case(verdict: Verdict, classname: str) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase", classname=classname, name=f"{verdict.code} {verdict.law}", time="0"
    )
    if verdict.outcome != "passed":
        text = _held(verdict.text)
        first = text.partition("\n")[0]
        if verdict.outcome == "failed":
            ElementTree.SubElement(case, "failure", message=first).text = text
        else:
            prefix = "known: " if verdict.outcome == "known" else ""
            ElementTree.SubElement(case, "skipped", message=prefix + first)
    return case


def _held(text: str) -> str:
    return UNHELD.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
