"""What a device's own readings tell of the device: battery, link, clock, gaps, stuck and noisy.

Pure functions over numpy arrays. Refuse to know stores, tables, people and the words for them.
"""
