"""Vendors' payload codecs in JavaScript: read, tried on their own examples, run in a sandbox.

    repositories ─▶ Codec + Vectors ─▶ vectors (does each example pass?) ─▶ enabled or not
    message ─▶ pool ─▶ worker process (engine: quickjs, limits) ─▶ Answer | Failure

Refuses to know networks, registries and what becomes of an answer.
"""
