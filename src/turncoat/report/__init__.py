"""The report: one self-contained HTML page of a store, or of a single trial. Imports no torch."""

from turncoat.report.page import write_report

__all__ = ["write_report"]
