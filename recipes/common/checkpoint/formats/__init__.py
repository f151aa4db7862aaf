"""Checkpoints of other trainers: what kind a folder is, and a reader for each kind."""
