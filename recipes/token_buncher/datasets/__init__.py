"""The data sets, from their own rows to the parquet files that verl reads."""
