"""The evidence of the book: a Sphinx domain of checks and claims, the report of equations, the ledger, the experiments.

A cell shows a check or a claim as an output of its own MIME type, of which `gradelib.mime_renderer` makes a node. The
domain notes it with its cell. Post-transforms then write the line with its link, the badge, the report and the ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from book.extensions import metadata
from book.extensions.evidence import domain, experiments, ledger, nodes, post_transforms, report
from gradelib.mime_renderer import record

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_node(
        record,
        html=(nodes.visit_record_html, nodes.depart_record_html),
        latex=(nodes.visit_record_latex, nodes.depart_record_latex),
    )
    app.add_node(nodes.checked_equation, html=(nodes.visit_checked_equation, nodes.depart_checked_equation))
    app.add_node(nodes.spoken_reference, html=(nodes.visit_spoken_reference, nodes.depart_spoken_reference))
    app.add_domain(domain.EvidenceDomain)
    app.add_directive("equation-report", report.EquationReport)
    app.add_directive("claim-ledger", ledger.Ledger)
    app.add_directive("ledger-totals", ledger.Totals)
    app.add_directive("ledger-announced", ledger.Announced)
    app.add_directive("recorded", experiments.Recorded)
    app.add_directive("experiments", experiments.Experiments)
    app.add_role("measured", experiments.Measured())
    app.add_directive("gpu-costs", experiments.GPUCosts)
    app.add_post_transform(experiments.ReadIn)
    app.add_post_transform(post_transforms.RecordLinks)
    app.add_post_transform(post_transforms.Badges)
    app.add_post_transform(report.ReportTables)
    app.add_post_transform(ledger.UnwrittenChapters)
    app.connect("env-get-updated", domain.outdated_lists)
    app.connect("build-finished", report.write_json)
    return {**metadata(), "env_version": 2}
