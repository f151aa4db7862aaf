"""Several processes that train together: where they meet, which one this is, how they are started."""
