"""Images: their names, how they are built, and the Docker engine that has them."""
