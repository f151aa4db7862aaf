"""What answers prompts: one interface, and a module for each library behind it."""
