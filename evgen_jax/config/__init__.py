"""Words of a configuration: files, records, and what becomes of every key."""
