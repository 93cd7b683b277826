"""The HTTP API, one module a subject; each gives a ``router``. All types are in the OpenAPI."""
