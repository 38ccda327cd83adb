#!/usr/bin/env python
"""Run Tollgate's management commands."""

import os
import sys

# These look at code and files only, so no database is started for them.
WITHOUT_SERVICES = {"help", "version", "--help", "-h", "--version", "check", "collectstatic",
                    "compilemessages", "diffsettings", "makemessages", "spectacular"}  # fmt: skip


def main() -> None:
    """Start the embedded services if the command needs them, then run it."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from config.embedded import EmbeddedServiceError, ensure_services

    try:
        if len(sys.argv) > 1 and sys.argv[1] not in WITHOUT_SERVICES:
            ensure_services()
    except (EmbeddedServiceError, ImproperlyConfigured) as error:
        sys.exit(str(error))
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
