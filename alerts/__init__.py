"""Readings to transitions to alarms to deliveries to people.

Knows the ground (``devices``) only; what feeds it is a Protocol of its own (``alerts.feed``).
"""
