"""The files that people write, read and checked: recipes, jobs, site.yaml, pins."""
