"""All that prints."""
