"""Bytes between places: over ssh, to and from a bucket, into the store, and compared when they have arrived."""
