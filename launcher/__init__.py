"""Takes a post-training recipe from a laptop to rented GPUs and brings a verified checkpoint back."""

__version__ = "0.1.0"
