"""For people: HTTP API, live events, the web app.

Knows alarms, stores and the registry as their readers; decides nothing about rules and routing.
"""
