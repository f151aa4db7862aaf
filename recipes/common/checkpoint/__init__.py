"""Weights on disk: sharded checkpoints, safetensors, adapters, and the way from one to another."""
