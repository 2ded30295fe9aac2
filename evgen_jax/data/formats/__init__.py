"""Files of every telescope as named tables: one protocol, chosen by what a file is."""
