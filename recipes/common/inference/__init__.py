"""Text generation: one interface, and a module for each library behind it."""
