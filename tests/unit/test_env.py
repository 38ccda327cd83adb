from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.env import load_environment, read_environment

PROJECT = Path("/srv/tollgate")
KEY = "0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOP"
DEPLOYMENT = {
    "DATABASE_URL": "postgres://tollgate:secret@db.example.com:5432/tollgate",
    "SECRET_KEY": KEY,
    "ALLOWED_HOSTS": "billing.example.com",
}


def read(**values):
    return read_environment(values=values, project_dir=PROJECT)


def test_nothing_set_means_the_embedded_services():
    env = read()

    assert not env.is_deployment
    assert (env.database_url, env.broker_url, env.secret_key) == (None, None, None)
    assert env.home == PROJECT / ".tollgate"
    assert (env.postgres_port, env.valkey_port) == (55432, 56379)
    assert env.email_url == "consolemail://"
    assert env.debug is False


def test_a_deployment():
    env = read(**DEPLOYMENT, BROKER_URL="amqp://u:p@mq:5672//", CSRF_TRUSTED_ORIGINS="https://a.b")

    assert env.is_deployment
    assert env.allowed_hosts == ("billing.example.com",)
    assert env.csrf_trusted_origins == ("https://a.b",)
    assert env.broker_url == "amqp://u:p@mq:5672//"


def test_an_empty_variable_counts_as_unset():
    assert read(DATABASE_URL=" ", DEBUG="", TOLLGATE_HOME="") == read()


@pytest.mark.parametrize("name", ["SECRET_KEY", "ALLOWED_HOSTS"])
def test_a_deployment_must_say_who_it_is(name):
    values = {key: value for key, value in DEPLOYMENT.items() if key != name}

    with pytest.raises(ImproperlyConfigured, match=f"^{name} is not set, but DATABASE_URL is"):
        read(**values)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("DEBUG", "perhaps", "neither true nor false. Set it to true or false"),
        ("BEHIND_PROXY", "2", "neither true nor false"),
        ("EMBEDDED_POSTGRES_PORT", "many", "no port. Set it to a number from 1 to 65535"),
        ("EMBEDDED_POSTGRES_PORT", "65536", "no port"),
        ("EMBEDDED_VALKEY_PORT", "0", "no port"),
        ("EMBEDDED_VALKEY_PORT", "-1", "no port"),
        ("DATABASE_POOL", "1.5", "no pool size"),
        ("DATABASE_URL", "mysql://u:p@h/d", "the scheme 'mysql', but Tollgate needs PostgreSQL"),
        ("DATABASE_URL", "postgres://u:p@h:port/d", "is no address"),
        ("DATABASE_URL", "postgres://u:p@h:5432/", "names no database"),
        ("BROKER_URL", "kafka://h", "has the scheme 'kafka'"),
        ("EMAIL_URL", "mail.example.com", "begins with 'mail.example.com'"),
        ("SECRET_KEY", "short", "too easy to guess"),
        ("SECRET_KEY", "a" * 60, "too easy to guess"),
        ("ALLOWED_HOSTS", "https://billing.example.com", "no host name"),
        ("ALLOWED_HOSTS", "a.example.com,b.example.com:80", "'b.example.com:80'"),
        ("CSRF_TRUSTED_ORIGINS", "billing.example.com", "no origin"),
    ],
)
def test_a_wrong_value_names_the_variable_and_what_to_do(name, value, says):
    with pytest.raises(ImproperlyConfigured) as caught:
        read(**{name: value})

    assert str(caught.value).startswith(f"{name} ")
    assert says in str(caught.value)


def test_a_secret_is_not_repeated_in_a_message():
    with pytest.raises(ImproperlyConfigured) as caught:
        read(DATABASE_URL="mysql://u:hunter2@h/d")

    assert "hunter2" not in str(caught.value)


def test_the_home_is_taken_from_the_project():
    assert read(TOLLGATE_HOME="data").home == PROJECT / "data"
    assert read(TOLLGATE_HOME="/var/lib/billing").home == Path("/var/lib/billing")


def test_dotenv_fills_in_what_the_environment_leaves_unset(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("EMBEDDED_POSTGRES_PORT=6001\nEMBEDDED_VALKEY_PORT=6002\n")
    monkeypatch.setenv("EMBEDDED_POSTGRES_PORT", "7001")
    monkeypatch.setenv("EMBEDDED_VALKEY_PORT", "7002")  # so that it is put back at the end
    monkeypatch.delenv("EMBEDDED_VALKEY_PORT")

    env = load_environment(project_dir=tmp_path)

    assert (env.postgres_port, env.valkey_port) == (7001, 6002)
