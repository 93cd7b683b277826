"""Devices that do not exist: physical signals, firmware, a fleet, a city, and files played as one.

Everything up to the publisher is deterministic: the same seed and start give the same bytes. Has
its own encoders and refuses to know the decoders it is meant to test (golden payloads in
``tests/golden`` are the treaty between the two).
"""
