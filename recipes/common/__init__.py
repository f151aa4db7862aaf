"""What several recipe families share."""
