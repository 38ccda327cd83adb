"""Django's PostgreSQL, where whether a kept connection lives is seen and not asked."""

import select

from django.db.backends.postgresql import base
from psycopg import pq


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL."""

    def is_usable(self) -> bool:
        """Tell whether the connection lives, as every request asks of one that is kept for it.

        A server says nothing that it was not asked, unless it ends the connection. So only where
        something has come it is asked, which takes a way there and back.
        """
        pgconn = None if self.connection is None else self.connection.pgconn
        if pgconn is None or pgconn.status != pq.ConnStatus.OK:
            return False
        arrivals = select.poll()
        arrivals.register(pgconn.socket, select.POLLIN)
        if not arrivals.poll(0):
            return True
        usable: bool = super().is_usable()
        return usable
