"""Where readings are kept for good: one Protocol, DuckDB and InfluxDB behind it.

Refuses to know the journal (``ingest.store_writer`` joins the two), rules and pages.
"""
