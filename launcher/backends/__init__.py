"""The backends: each starts, follows and ends runs in one way."""
