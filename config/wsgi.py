"""The WSGI application."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from config.embedded import ensure_services

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

ensure_services()
application = get_wsgi_application()

# Everything that lives as long as the process is imported now, and then left out of the search for
# cycles, which requests with thousands of events would otherwise repeat over all of it. They leave
# no cycles behind, so it is made after some ten of them rather than several times in each.
assert get_resolver().url_patterns
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 10, 10)
