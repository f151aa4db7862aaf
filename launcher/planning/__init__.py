"""From a request to a plan: nothing is started and nothing is rented here."""
