"""As the tests beside it, for what needs torch."""
