"""From configuration sections to sources, decoders and losses."""
