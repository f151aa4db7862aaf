"""Weights on disk: sharded checkpoints, safetensors, adapters, and conversions between them."""
