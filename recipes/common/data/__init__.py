"""Rows, tokens, one repository of the hub, and intervals: what several families do with data."""
