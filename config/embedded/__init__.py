"""The PostgreSQL and the Valkey that stand in while DATABASE_URL and BROKER_URL are unset.

Owns: the services' data, processes, ports and passwords, all inside TOLLGATE_HOME.
Does not own: what a deployment brings itself. Nothing starts on import: an entry point
(manage.py, the worker, beat, the web server, the tests) calls `ensure_services()`.
"""

from config.embedded import postgres, valkey
from config.embedded.place import EmbeddedServiceError
from config.env import Environment, load_environment

__all__ = ["EmbeddedServiceError", "ensure_services"]


def ensure_services(*, environment: Environment | None = None) -> None:
    """Start the embedded services that the environment does not replace, unless they run.

    Raises EmbeddedServiceError where one cannot be started, ImproperlyConfigured for a wrong
    environment.
    """
    env = environment or load_environment()
    if env.database_url is None:
        postgres.start(home=env.home, port=env.postgres_port)
    if env.broker_url is None:
        valkey.start(home=env.home, port=env.valkey_port)
