"""A run as one HTML page that opens without a server and without a network; and the texts of `status`."""
