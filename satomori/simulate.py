"""`satomori simulate`: joins the simulator's publications to a broker.

Files keep their own times unless they are shifted to now; the city and scenarios live now.
"""

from __future__ import annotations
