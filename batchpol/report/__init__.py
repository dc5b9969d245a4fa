"""What people and scripts read of a run: reports as CSV, JSON Lines and HTML, findings, the summary.

Knows outcomes and their renderings; not where outcomes come from.

============ =======================================================================================
``rows``     the columns, derived from the fields of an outcome, and what stands in them
``write``    a whole report, in the format of its suffix
``html``     the page; ``page.html``, ``page.css`` and ``page.js`` are its frame, ``charts`` its drawings
``pace``     when requests were sent and how long answers took, counted in bounded memory
``planned``  the report of ``batchpol plan``
``findings`` the report of ``batchpol validate``
``summary``  counts and causes
============ =======================================================================================
"""

from __future__ import annotations

from batchpol.report.findings import FindingsReport
from batchpol.report.html import write_plan_page
from batchpol.report.planned import Plan, write_plan
from batchpol.report.summary import Cause, Example, Summary, summary_json, summary_text
from batchpol.report.write import check_suffix, is_json_lines, write_report

__all__ = [
    "Cause",
    "Example",
    "FindingsReport",
    "Plan",
    "Summary",
    "check_suffix",
    "is_json_lines",
    "summary_json",
    "summary_text",
    "write_plan",
    "write_plan_page",
    "write_report",
]
