"""Write the next revision: what leads from the newest one to the tables as they are declared."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic import command

from devices.database import open_database, writing
from satomori.migrations import alembic_config, upgrade

_VERSIONS = Path(__file__).parent / "versions"


def main() -> None:
    """Compare the declared tables with a freshly migrated SQLite database."""
    if len(sys.argv) != 2:
        sys.exit('usage: python -m satomori.migrations "what changes"')
    with TemporaryDirectory() as directory:
        url = f"sqlite:///{Path(directory) / 'empty.db'}"
        upgrade(url)
        database = open_database(url)
        with writing(database) as connection:
            number = f"{len(list(_VERSIONS.glob('r*.py'))) + 1:04}"
            command.revision(
                alembic_config(connection), sys.argv[1], autogenerate=True, rev_id=number
            )
        database.dispose()


main()
