"""`manage.py load_catalogue FILE...`: store plans that are written as YAML documents."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from plans.catalogue.document import Source
from plans.catalogue.load import load_sources
from plans.catalogue.problems import CatalogueInvalid
from plans.catalogue.yaml_text import read_text


class Command(BaseCommand):
    help = "Check plans written as YAML documents, then store them all or none of them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument(
            "--publish",
            action="store_true",
            help="Put each new version into force from its effective_from; without: drafts.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sources = [Source(str(path), read_text(path)) for path in options["files"]]
            loaded = load_sources(sources, publish=options["publish"], by=None, now=timezone.now())
        except CatalogueInvalid as error:
            raise CommandError(f"Nothing was stored.\n{error.message}") from error
        for one in loaded:
            self.stdout.write(str(one))
