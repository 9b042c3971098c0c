"""Configurations, trials, the store that keeps them, studies over them, and the table of all results."""
