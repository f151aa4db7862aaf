"""Who compares two profiles, and how its answers become verdicts."""
