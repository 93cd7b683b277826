"""Sources to decode to check to journal to stores: no reading that the broker accepted is lost.

Knows the ground (``devices``) only; never rules, alarms or pages.
"""
