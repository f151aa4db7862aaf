"""The tests; `python -m tests test` runs them."""
