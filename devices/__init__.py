"""The ground of Satomori: quantities, readings, kinds, the registry, payloads, frames.

Knows no broker, journal, store, rule or page; every other package stands on this one.
"""
