"""The WSGI application."""

import gc
import os
from typing import cast
from wsgiref.types import WSGIApplication

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from config.embedded import ensure_services

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

ensure_services()
django = cast(WSGIApplication, get_wsgi_application())

# Models and views can be imported from here on.
from usage.api.service_entry import ServiceEntry  # noqa: E402

application = ServiceEntry(django)

# Everything that lives as long as the process is imported now, and then left out of the search for
# cycles, which requests with thousands of events would otherwise repeat over all of it. They leave
# no cycles behind, so it is made after some ten of them rather than several times in each.
assert get_resolver().url_patterns
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 10, 10)
