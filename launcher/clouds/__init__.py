"""The clouds: what they offer and at what price, which machines are ours, and what those have cost."""
