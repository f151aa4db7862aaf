"""A model folder: fetch it, make a tiny one, load it, export it with its card."""
