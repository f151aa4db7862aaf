"""Several processes that train together: how they start, where they meet, and which of them this process is."""
