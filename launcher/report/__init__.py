"""A run as one HTML page that opens anywhere: no server, no network, nothing that it was not told."""
