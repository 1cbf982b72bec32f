"""Folders of the Hugging Face hub as a user has them on disk: what their README, names and Parquet say, and whether they agree."""
