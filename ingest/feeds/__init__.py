"""Outside feeds: what others publish (today: JMA's disaster prevention XML), polled over HTTP.

``jma_xml`` and ``standing`` are pure; ``poller`` asks, ``fetch`` touches the network, ``book`` the
tables. Refuses to know rules, pages and people: nothing here raises an alarm or tells anybody.
"""
