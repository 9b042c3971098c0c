"""The report: one self-contained HTML page of a store, or of a single trial. Imports no torch."""
